// The film: shows one picture of it, or plays. Without a film, or where the browser cannot decode
// it, a timer takes its place, so that boxes can be looked at all the same.
class Film {
  // shown(index) is called whenever another picture has come on the screen.
  constructor(video, count, fps, shown) {
    Object.assign(this, { video, count, fps, shown, index: 0, wanted: 0, rate: 1, works: false });
    this.paused = true;
    this.changed = () => {};
  }

  load(bytes) {
    if (!bytes.length) return;
    const { video } = this;
    video.addEventListener("loadeddata", () => {
      this.works = true;
      this.show(this.wanted);
    }, { once: true });
    video.addEventListener("error", () => { this.works = false; this.changed(); });
    video.addEventListener("seeked", () => this.settle());
    video.addEventListener("ended", () => {
      this.index = this.count - 1; // a fast film passes over its last pictures
      this.pause();
    });
    video.src = URL.createObjectURL(new Blob([bytes], { type: "video/mp4" }));
  }

  get failed() { return Boolean(this.video.error); }

  show(index) {
    this.wanted = Math.min(Math.max(index, 0), this.count - 1);
    if (!this.works) this.arrive(this.wanted);
    else if (!this.video.seeking) this.seek();
  }

  seek() { this.video.currentTime = (this.wanted + 0.5) / this.fps; }

  // A jump has ended; while it went on, another place may have been asked for.
  settle() {
    const index = Math.floor(this.video.currentTime * this.fps + 1e-3);
    if (this.paused && index !== this.wanted) this.seek();
    else this.arrive(Math.min(index, this.count - 1));
  }

  arrive(index) {
    this.index = index;
    if (!this.paused) this.wanted = index;
    this.shown(index);
  }

  play() {
    if (!this.paused) return;
    this.paused = false;
    if (this.index >= this.count - 1) this.show(0);
    if (this.works) {
      this.video.playbackRate = this.rate;
      this.video.play().catch(() => this.pause());
      this.follow();
    } else {
      this.timer = setInterval(() => {
        if (this.index >= this.count - 1) this.pause();
        else this.arrive(this.index + 1);
      }, 1000 / (this.fps * this.rate));
    }
    this.changed();
  }

  // Tells each picture that comes on the screen.
  follow() {
    const { video } = this;
    const next = (time) => {
      if (this.paused) return;
      this.arrive(Math.min(Math.floor(time * this.fps + 0.5), this.count - 1));
      this.follow();
    };
    if (video.requestVideoFrameCallback) {
      video.requestVideoFrameCallback((_, picture) => next(picture.mediaTime));
    } else {
      requestAnimationFrame(() => next(Math.max(0, video.currentTime - 0.5 / this.fps)));
    }
  }

  pause() {
    if (this.paused) return;
    this.paused = true;
    clearInterval(this.timer);
    if (this.works) this.video.pause();
    this.show(this.index);
    this.changed();
  }

  setRate(rate) {
    this.rate = rate;
    if (this.works) this.video.playbackRate = rate;
    if (!this.paused && !this.works) { this.pause(); this.play(); }
  }
}
