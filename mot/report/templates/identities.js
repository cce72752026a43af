// The time line of identities: a bar selects its person, and a line shows where the player is.
class Identities {
  // chosen(id) is called when a bar is, wanted(frame) when a place beside the bars is.
  constructor(section, length, { chosen, wanted }) {
    this.plot = section.querySelector(".timeline .plot");
    if (!this.plot) return;
    this.list = this.plot.querySelector("svg");
    this.bars = [...this.list.querySelectorAll("[role=option]")];
    this.cursor = this.plot.querySelector(".cursor");
    Object.assign(this, { length, chosen, wanted, active: -1 });
    this.plot.addEventListener("click", (event) => {
      const bar = this.under(event);
      if (bar) this.chosen(Number(bar.dataset.id));
      else this.wanted(this.frameAt(event));
    });
    this.list.addEventListener("keydown", (event) => this.key(event));
    this.list.addEventListener("focus", () => this.activate(Math.max(this.active, 0)));
    this.list.addEventListener("blur", () => this.bars[this.active]?.classList.remove("active"));
  }

  frameAt(event) {
    const area = this.plot.getBoundingClientRect();
    return 1 + ((event.clientX - area.left) / area.width) * (this.length - 1);
  }

  // The bar of a row; thin rows and short gaps are hard to hit, so the row counts.
  under(event) {
    const area = this.plot.getBoundingClientRect();
    const row = Math.floor(((event.clientY - area.top) / area.height) * this.bars.length);
    const bar = this.bars[row];
    if (!bar) return null;
    const box = bar.getBoundingClientRect();
    const slack = 4;
    return event.clientX >= box.left - slack && event.clientX <= box.right + slack ? bar : null;
  }

  key(event) {
    const last = this.bars.length - 1;
    const to = {
      ArrowUp: this.active - 1, ArrowDown: this.active + 1, Home: 0, End: last,
    }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      this.activate(Math.min(Math.max(to, 0), last));
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      if (this.bars[this.active]) this.chosen(Number(this.bars[this.active].dataset.id));
    }
  }

  activate(row) {
    this.bars[this.active]?.classList.remove("active");
    this.active = row;
    // Who works by pointer sees the selection, and needs no mark of where the keys are.
    this.bars[row].classList.toggle("active", this.list.matches(":focus-visible"));
    this.list.setAttribute("aria-activedescendant", this.bars[row].id);
  }

  select(id) {
    if (!this.plot) return;
    this.list.classList.toggle("choosing", id !== null);
    this.bars.forEach((bar, row) => {
      const is = Number(bar.dataset.id) === id;
      bar.setAttribute("aria-selected", is);
      if (is) this.activate(row);
    });
  }

  follow(frame) {
    if (!this.plot) return;
    this.cursor.style.left = `${(100 * (frame - 0.5)) / this.length}%`;
    this.cursor.hidden = false;
  }
}
