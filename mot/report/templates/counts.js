// Reading values off the count chart, by pointer or arrow keys; it moves with the player.
class Counts {
  // wanted(frame) is called when another frame is asked for.
  constructor(section, wanted) {
    this.chart = section.querySelector(".counts");
    this.plot = this.chart.querySelector(".plot");
    this.cursor = this.chart.querySelector(".cursor");
    this.pointer = this.chart.querySelector(".pointer");
    this.readout = section.querySelector(".readout");
    this.fps = Number(section.dataset.fps);
    this.wanted = wanted;
    this.data = JSON.parse(embedded(section, "counts-data"));
    this.index = 0;
    const { frames } = this.data;
    this.span = Math.max(frames.at(-1) - frames[0], 1);
    this.readout.textContent = "Point at the chart or press the arrow keys to read values.";
    this.listen();
  }

  listen() {
    const { plot, chart } = this;
    let held = false;
    plot.addEventListener("pointermove", (event) => {
      const at = this.under(event);
      this.place(this.pointer, at);
      this.read(at);
      if (held) this.ask(at);
    });
    plot.addEventListener("pointerleave", () => {
      this.pointer.hidden = true;
      if (!this.cursor.hidden) this.read(this.index);
    });
    plot.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      held = true;
      plot.setPointerCapture(event.pointerId);
      this.ask(this.under(event));
    });
    for (const end of ["pointerup", "pointercancel"]) plot.addEventListener(end, () => { held = false; });
    chart.addEventListener("keydown", (event) => {
      const last = this.data.frames.length - 1;
      const page = Math.max(1, Math.round(last / 20));
      const to = {
        ArrowLeft: this.index - 1, ArrowRight: this.index + 1, PageUp: this.index - page,
        PageDown: this.index + page, Home: 0, End: last,
      }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      this.ask(Math.min(Math.max(to, 0), last));
    });
  }

  under(event) {
    const area = this.plot.getBoundingClientRect();
    const share = (event.clientX - area.left) / area.width;
    return nearest(this.data.frames, this.data.frames[0] + share * this.span);
  }

  ask(index) {
    this.wanted(this.data.frames[index]);
    this.move(index); // its own frame, even where the player holds one beside it
  }

  // The player shows a frame.
  follow(frame) { this.move(nearest(this.data.frames, frame)); }

  move(index) {
    this.index = index;
    this.place(this.cursor, index);
    if (this.pointer.hidden) this.read(index);
  }

  place(mark, index) {
    mark.style.left = `${(100 * (this.data.frames[index] - this.data.frames[0])) / this.span}%`;
    mark.hidden = false;
  }

  read(index) {
    const frame = this.data.frames[index];
    const parts = [`frame ${frame}`];
    if (this.fps) parts.push(`${((frame - 1) / this.fps).toFixed(1)} s`);
    for (const [name, values] of Object.entries(this.data.values)) parts.push(`${name} ${values[index]}`);
    this.readout.textContent = parts.join(" · ");
  }
}
