// Puts the parts of a sequence together. A part comes to life when it is about to be seen, so that
// a page of many sequences opens at once.

function begin(section) {
  let player = null;
  const counts = new Counts(section, (frame) => player?.goTo(frame));
  if (!section.querySelector("script.scene")) return;
  const scene = sceneOf(section);
  const length = section.querySelector(".timeline svg")?.viewBox.baseVal.width ?? 1;
  const people = new Identities(section, length, {
    chosen: (id) => {
      player.select({ kind: "track", id });
      player.goTo(scene.people.first[scene.person.get(id)]);
    },
    wanted: (frame) => player.goTo(frame),
  });
  player = new Player(section, scene, {
    told: (frame) => {
      counts.follow(frame);
      people.follow(frame);
    },
    chosen: (selected) => people.select(selected?.kind === "track" ? selected.id : null),
  });
  for (const exhibit of section.querySelectorAll(".exhibit")) {
    exhibit.addEventListener("click", () => visit(player, exhibit.dataset));
  }
  player.say(0);
}

// Show what an error's picture was cut out of.
function visit(player, { frame, kind, track, truth }) {
  if (kind !== "false") player.toggleLayer("truth", true);
  player.toggleLayer("boxes", true);
  player.select(kind === "missed" ? { kind: "truth", id: Number(truth) }
    : { kind: "track", id: Number(track) });
  player.goTo(Number(frame));
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  player.stage.scrollIntoView({ behavior: calm ? "auto" : "smooth", block: "center" });
  player.stage.focus({ preventScroll: true });
}

const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    near.unobserve(target);
    begin(target);
  }
}, { rootMargin: "300px" });
for (const section of document.querySelectorAll(".sequence")) near.observe(section);
