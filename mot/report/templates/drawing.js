// What is drawn over a picture: density, marks, trails, boxes. Coordinates are the original
// frame's pixels; the canvas is scaled to them.

const LEAST_TRAIL = 5; // pictures, where they lie far apart
const FILL_CORNER = 0.25; // of a side: what is drawn of a box that only fills a gap
const COVER = 0.6; // of the density where it is greatest
const TRUTH_COLOUR = "#ffffff";

class Drawing {
  constructor(canvas, scene) {
    Object.assign(this, { canvas, scene, maps: null });
    this.shown = {};
    this.selected = null;
  }

  // Density maps: eight bits of each cell's root share of its picture's peak.
  setMaps(levels) {
    const { size: [width, height], peaks } = this.scene.density;
    const top = Math.max(...peaks);
    const colours = bytesOf(DENSITY_COLOURS);
    const small = new OffscreenCanvas(width, height);
    const context = small.getContext("2d");
    const pixels = context.createImageData(width, height);
    this.maps = (index) => {
      const cells = width * height;
      for (let i = 0; i < cells; i++) {
        const root = levels[index * cells + i] / 255;
        const share = top > 0 ? (root * root * peaks[index]) / top : 0;
        const level = Math.round(255 * share);
        for (let k = 0; k < 3; k++) pixels.data[4 * i + k] = colours[3 * level + k];
        pixels.data[4 * i + 3] = 255 * COVER * Math.sqrt(share);
      }
      context.putImageData(pixels, 0, 0);
      return small;
    };
  }

  draw(index) {
    const { canvas, scene, shown } = this;
    const [width, height] = scene.size;
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
    this.pixel = width / canvas.width * (window.devicePixelRatio || 1); // of the screen
    if (shown.density && this.maps) {
      const [across, down] = scene.density.reach;
      context.drawImage(this.maps(index), 0, 0, width * across, height * down);
    }
    if (shown.marks) for (const mark of scene.marks) this.mark(context, mark);
    if (shown.trails) this.trails(context, index);
    if (shown.truth) {
      for (const box of boxesOf(scene.truth[index])) this.box(context, box, "truth");
    }
    if (shown.boxes) {
      for (const box of boxesOf(scene.tracks[index])) this.box(context, box, "track");
    }
  }

  isSelected(kind, id) {
    return this.selected !== null && this.selected.kind === kind && this.selected.id === id;
  }

  box(context, box, kind) {
    const chosen = this.isSelected(kind, box.id);
    const colour = kind === "truth" ? TRUTH_COLOUR : this.scene.colour(box.id);
    const line = (chosen ? 4 : 2) * this.pixel;
    context.globalAlpha = this.selected && !chosen ? 0.45 : 1;
    context.setLineDash(kind === "truth" ? [4 * this.pixel, 3 * this.pixel] : []);
    const path = new Path2D();
    if (box.filled) this.corners(path, box);
    else path.rect(box.x, box.y, box.w, box.h);
    context.strokeStyle = chosen ? "#ffffff" : "rgb(0 0 0 / 55%)"; // a rim, on any ground
    context.lineWidth = line + 2 * this.pixel;
    context.stroke(path);
    context.strokeStyle = colour;
    context.lineWidth = line;
    context.stroke(path);
    context.setLineDash([]);
    if (kind === "track" || chosen) this.label(context, `${box.id}`, box.x, box.y, colour);
    context.globalAlpha = 1;
  }

  corners(path, { x, y, w, h }) {
    for (const [left, across] of [[x, w], [x + w, -w]]) {
      for (const [top, down] of [[y, h], [y + h, -h]]) {
        path.moveTo(left + FILL_CORNER * across, top);
        path.lineTo(left, top);
        path.lineTo(left, top + FILL_CORNER * down);
      }
    }
  }

  label(context, text, x, y, colour) {
    const size = 12 * this.pixel;
    context.font = `600 ${size}px system-ui, sans-serif`;
    context.textBaseline = "bottom";
    const wide = context.measureText(text).width + 6 * this.pixel;
    const bottom = Math.max(y, size + 2 * this.pixel);
    context.fillStyle = colour;
    context.fillRect(x, bottom - size - 2 * this.pixel, wide, size + 2 * this.pixel);
    const [r, g, b] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
    context.fillStyle = 0.299 * r + 0.587 * g + 0.114 * b < 110 ? "#ffffff" : "#000000";
    context.fillText(text, x + 3 * this.pixel, bottom - this.pixel / 2);
  }

  // Where people's feet have been; older stretches fade out.
  trails(context, index) {
    const { scene } = this;
    const now = scene.frames[index];
    const span = Math.max(scene.trail, LEAST_TRAIL * scene.step);
    let first = index;
    while (first > 0 && now - scene.frames[first - 1] < span) first -= 1;
    const before = new Map();
    context.lineCap = "round";
    for (let at = first; at <= index; at++) {
      const strength = 1 - (now - scene.frames[at]) / span;
      for (const { id, x, y, w, h } of boxesOf(scene.tracks[at])) {
        const foot = [x + w / 2, y + h];
        const from = before.get(id);
        before.set(id, foot);
        if (!from) continue;
        const chosen = this.isSelected("track", id);
        context.globalAlpha = strength * (this.selected && !chosen ? 0.35 : 1);
        context.lineWidth = (chosen ? 5 : 3) * this.pixel;
        context.strokeStyle = scene.colour(id);
        context.beginPath();
        context.moveTo(...from);
        context.lineTo(...foot);
        context.stroke();
      }
    }
    context.globalAlpha = 1;
  }

  mark(context, { name, points, closed }) {
    const path = new Path2D();
    points.forEach(([x, y], i) => (i ? path.lineTo(x, y) : path.moveTo(x, y)));
    if (closed) path.closePath();
    for (const [colour, line] of [["rgb(0 0 0 / 60%)", 4], ["#ffffff", 2]]) {
      context.strokeStyle = colour;
      context.lineWidth = line * this.pixel;
      context.stroke(path);
    }
    this.label(context, name, points[0][0], points[0][1], "#ffffff");
  }

  // The smallest box at a place that can be seen.
  at(index, x, y) {
    const found = [];
    for (const [kind, wanted] of [["track", this.shown.boxes], ["truth", this.shown.truth]]) {
      if (!wanted) continue;
      for (const box of boxesOf(this.scene[kind === "track" ? "tracks" : "truth"][index])) {
        const inside = x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h;
        if (inside) found.push({ kind, ...box });
      }
    }
    found.sort((a, b) => a.w * a.h - b.w * b.h);
    return found[0] ?? null;
  }
}
