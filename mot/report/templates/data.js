// Reading what is embedded in the page.

function bytesOf(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return bytes;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function embedded(section, name) {
  const element = section.querySelector(`script.${name}`);
  const text = element.textContent;
  element.remove(); // the page need not hold it twice
  return text;
}

// Place of the number in an ascending list that is nearest to the wanted one.
function nearest(numbers, wanted) {
  let low = 0;
  let high = numbers.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (numbers[middle] < wanted) low = middle + 1;
    else high = middle;
  }
  return low > 0 && wanted - numbers[low - 1] <= numbers[low] - wanted ? low - 1 : low;
}

const BOX = 6; // numbers of one box in a frame's list: id, x, y, w, h, fills a gap

function* boxesOf(list) {
  for (let i = 0; i < list.length; i += BOX) {
    const [id, x, y, w, h, filled] = list.slice(i, i + BOX);
    yield { id, x, y, w, h, filled: filled === 1 };
  }
}

function sceneOf(section) {
  const scene = JSON.parse(embedded(section, "scene"));
  scene.person = new Map(scene.people.id.map((id, row) => [id, row]));
  scene.colour = (id) => scene.people.colour[scene.person.get(id)] ?? "#bebebe";
  scene.step = scene.frames.length > 1
    ? (scene.frames.at(-1) - scene.frames[0]) / (scene.frames.length - 1) : 1;
  // Pictures a second at the pace at which they were taken; without a rate, the film's own.
  scene.pace = scene.fps ? scene.fps / scene.step : scene.filmFps;
  return scene;
}
