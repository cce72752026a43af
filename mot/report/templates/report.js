// Reading values off the count chart, by pointer or arrow keys, and showing that frame in the
// video. The page is complete without it.
for (const section of document.querySelectorAll(".sequence")) {
  const chart = section.querySelector(".counts");
  const plot = chart.querySelector(".plot");
  const cursor = chart.querySelector(".cursor");
  const readout = section.querySelector(".readout");
  const video = section.querySelector("video");
  const fps = Number(section.dataset.fps);
  const data = JSON.parse(section.querySelector("script").textContent);
  const last = data.frames.length - 1;
  const span = Math.max(data.frames[last] - data.frames[0], 1);
  let index = 0;

  const show = (wanted) => {
    index = Math.min(Math.max(wanted, 0), last);
    const frame = data.frames[index];
    const parts = [`frame ${frame}`];
    if (fps) parts.push(`${((frame - 1) / fps).toFixed(1)} s`);
    for (const [name, values] of Object.entries(data.values)) parts.push(`${name} ${values[index]}`);
    readout.textContent = parts.join(" · ");
    cursor.style.left = `${(100 * (frame - data.frames[0])) / span}%`;
    cursor.hidden = false;
  };
  const nearest = (share) => Math.round(share * last);
  const seek = () => {
    if (video && fps) video.currentTime = (data.frames[index] - 0.5) / fps;
  };

  readout.textContent = "Point at the chart or press the arrow keys to read values" +
    (video && fps ? "; click or press Enter to see that frame in the video." : ".");
  plot.addEventListener("pointermove", (event) => {
    const area = plot.getBoundingClientRect();
    show(nearest((event.clientX - area.left) / area.width));
  });
  plot.addEventListener("click", seek);
  chart.addEventListener("keydown", (event) => {
    const page = Math.max(1, Math.round(last / 20));
    const to = {
      ArrowLeft: index - 1, ArrowRight: index + 1, PageUp: index - page, PageDown: index + page,
      Home: 0, End: last, Enter: index,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    show(to);
    if (event.key === "Enter") seek();
  });
  if (video && fps) {
    video.addEventListener("timeupdate", () => {
      if (video.currentTime < 0.02) return; // only the first picture was fetched
      const frame = Math.floor(video.currentTime * fps) + 1;
      show(nearest((frame - data.frames[0]) / span));
    });
  }
}
