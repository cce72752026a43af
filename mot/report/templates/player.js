// The player: one picture, what is drawn over it, and the controls beneath.

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8, 16];
const RATES = [0.0625, 16]; // what browsers play
const LEAST_PACE = 5; // pictures a second to begin with, where they lie far apart in time
const KEY_OF = { b: "boxes", t: "trails", d: "density", g: "truth", z: "marks" };

class Player {
  // told(frame) is called with every picture, chosen(selection) when another person is selected.
  constructor(section, scene, { told, chosen }) {
    const find = (name) => section.querySelector(`.player ${name}`);
    Object.assign(this, { section, scene, told, chosen });
    this.stage = find(".stage");
    this.slider = find(".scrub");
    this.playing = find(".play");
    this.speed = find("select");
    this.status = find(".status");
    this.facts = find(".selected");
    this.tip = find(".tip");
    this.wait = find(".wait");
    this.drawing = new Drawing(find("canvas"), scene);
    const show = (index) => this.shown(index);
    this.film = new Film(find("video"), scene.frames.length, scene.filmFps, show);
    this.film.changed = () => this.changed();
    this.slider.max = scene.frames.length - 1;
    this.offerSpeeds();
    this.listen(find);
    this.load();
    new ResizeObserver(() => this.resize()).observe(this.stage);
    this.resize();
  }

  async load() {
    const bytes = bytesOf(embedded(this.section, "film"));
    if (bytes.length) this.film.load(bytes);
    this.changed();
    const levels = bytesOf(embedded(this.section, "levels"));
    if (!this.scene.density) return;
    this.drawing.setMaps(await inflate(levels));
    this.redraw();
  }

  offerSpeeds() {
    const real = this.scene.pace / this.scene.filmFps;
    const fits = SPEEDS.filter((s) => s * real >= RATES[0] && s * real <= RATES[1]);
    const offered = fits.length ? fits : [1];
    for (const speed of offered) this.speed.add(new Option(`${speed}×`, speed));
    const fast = offered.find((s) => s >= 1 && s * this.scene.pace >= LEAST_PACE);
    this.speed.value = fast ?? offered.at(-1);
    this.setSpeed();
  }

  setSpeed() {
    const rate = Number(this.speed.value) * (this.scene.pace / this.scene.filmFps);
    this.film.setRate(Math.min(Math.max(rate, RATES[0]), RATES[1]));
  }

  listen(find) {
    this.slider.addEventListener("input", () => this.go(Number(this.slider.value)));
    this.playing.addEventListener("click", () => this.toggle());
    find(".back").addEventListener("click", () => this.go(this.film.wanted - 1));
    find(".on").addEventListener("click", () => this.go(this.film.wanted + 1));
    this.speed.addEventListener("change", () => this.setSpeed());
    find(".selected button").addEventListener("click", () => this.select(null));
    this.boxes = [...this.section.querySelectorAll(".player input[type=checkbox]")];
    for (const box of this.boxes) {
      this.drawing.shown[box.name] = box.checked;
      box.addEventListener("change", () => this.toggleLayer(box.name, box.checked));
    }
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("pointermove", (event) => this.point(event));
    this.stage.addEventListener("pointerleave", () => { this.tip.hidden = true; });
    this.stage.addEventListener("click", (event) => this.select(this.under(event)));
    this.section.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.drawing.selected) this.select(null);
    });
  }

  toggleLayer(name, on) {
    const box = this.boxes.find((b) => b.name === name);
    if (!box) return;
    box.checked = this.drawing.shown[name] = on;
    this.redraw();
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const far = event.shiftKey ? 10 : 1;
    const name = KEY_OF[event.key.toLowerCase()];
    const actions = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.go(this.film.wanted - far),
      ArrowRight: () => this.go(this.film.wanted + far),
      Home: () => this.go(0),
      End: () => this.go(this.scene.frames.length - 1),
      "+": () => this.faster(1),
      "=": () => this.faster(1),
      "-": () => this.faster(-1),
      n: () => this.selectNext(1),
      p: () => this.selectNext(-1),
    };
    const action = name ? () => this.toggleLayer(name, !this.drawing.shown[name])
      : actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  faster(way) {
    const wanted = this.speed.selectedIndex + way;
    this.speed.selectedIndex = Math.min(Math.max(wanted, 0), this.speed.options.length - 1);
    this.setSpeed();
  }

  toggle() {
    if (this.film.paused) this.film.play();
    else this.film.pause();
  }

  go(index) {
    this.film.pause();
    this.film.show(index);
    this.say(this.film.wanted); // at once, the picture follows
  }

  // Show the picture that is nearest to a frame.
  goTo(frame) { this.go(nearest(this.scene.frames, frame)); }

  get frame() { return this.scene.frames[this.film.wanted]; }

  // A picture has come on the screen.
  shown(index) {
    this.drawing.draw(index);
    if (!this.film.paused || index === this.film.wanted) this.say(index);
  }

  redraw() { this.drawing.draw(this.film.index); }

  say(index) {
    const { scene } = this;
    const frame = scene.frames[index];
    const parts = [`frame ${frame}`];
    if (scene.fps) parts.push(`${((frame - 1) / scene.fps).toFixed(2)} s`);
    parts.push(`${scene.tracks[index].length / BOX} tracks`);
    if (scene.truth) parts.push(`${scene.truth[index].length / BOX} people in the truth`);
    this.status.textContent = parts.join(" · ");
    this.slider.value = index;
    this.slider.setAttribute("aria-valuetext", parts.slice(0, 2).join(", "));
    this.told(frame);
  }

  changed() {
    this.playing.textContent = this.film.paused ? "Play" : "Pause";
    this.wait.hidden = !this.film.failed;
    if (this.film.failed) {
      this.wait.textContent = "This browser does not play H.264, so there are boxes only.";
    }
  }

  resize() {
    const { canvas } = this.drawing;
    const area = this.stage.getBoundingClientRect();
    const dense = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(area.width * dense));
    canvas.height = Math.max(1, Math.round(area.height * dense));
    this.redraw();
  }

  under(event) {
    const area = this.drawing.canvas.getBoundingClientRect();
    const [width, height] = this.scene.size;
    const x = ((event.clientX - area.left) / area.width) * width;
    const y = ((event.clientY - area.top) / area.height) * height;
    return this.drawing.at(this.film.index, x, y);
  }

  point(event) {
    const box = this.under(event);
    this.tip.hidden = !box;
    this.stage.style.cursor = box ? "pointer" : "";
    if (!box) return;
    const area = this.stage.getBoundingClientRect();
    const gap = box.filled ? ", fills a gap" : "";
    this.tip.textContent = box.kind === "truth" ? `person ${box.id} of the truth` : `id ${box.id}${gap}`;
    const left = event.clientX - area.left;
    const right = left > area.width / 2;
    this.tip.style.left = right ? "" : `${left + 12}px`;
    this.tip.style.right = right ? `${area.width - left + 8}px` : "";
    this.tip.style.top = `${Math.max(0, event.clientY - area.top - 26)}px`;
  }

  // The next person in this picture, by id.
  selectNext(way) {
    const ids = [...boxesOf(this.scene.tracks[this.film.wanted])].map((box) => box.id);
    ids.sort((a, b) => a - b);
    if (!ids.length) return;
    const chosen = this.drawing.selected;
    const at = chosen && chosen.kind === "track" ? ids.indexOf(chosen.id) : -1;
    const next = at < 0 ? (way > 0 ? 0 : ids.length - 1) : (at + way + ids.length) % ids.length;
    this.select({ kind: "track", id: ids[next] });
  }

  select(selection) {
    this.drawing.selected = selection && { kind: selection.kind, id: selection.id };
    const [text, button] = this.facts.children;
    text.textContent = selection ? this.describe(selection) : "";
    button.hidden = !selection;
    this.redraw();
    this.chosen(this.drawing.selected);
  }

  describe({ kind, id }) {
    if (kind === "truth") return `Person ${id} of the truth.`;
    const { people, person, fps } = this.scene;
    const row = person.get(id);
    const [first, last, gaps] = [people.first[row], people.last[row], people.gaps[row]];
    const time = fps ? ` (${((first - 1) / fps).toFixed(1)} to ${((last - 1) / fps).toFixed(1)} s)` : "";
    return `id ${id}: frames ${first} to ${last}${time}, seen in ${people.seen[row]}, ` +
      `${gaps} gap${gaps === 1 ? "" : "s"}.`;
  }
}
