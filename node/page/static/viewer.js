// Slices of two series side by side, moved by one slider: a position in the patient in millimetres, not a number.
// Pictures come windowed from the server; contours are SVG paths in the patient coordinates of the plane.

const json = async (address) => {
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error(answer.statusText);
  return answer.json();
};
const remembered = new Map();
const once = (address) => {
  if (!remembered.has(address)) {
    const asked = json(address);
    remembered.set(address, asked);
    const again = () => remembered.delete(address);
    asked.then((said) => said.faults?.length && again(), again); // what failed is asked for again
  }
  return remembered.get(address);
};
const filled = (words, values) => words.replace(/\{(\w+)\}/g, (_, name) => values[name]);

class Pane {
  constructor(figure, viewer) {
    this.figure = figure;
    this.viewer = viewer;
    for (const name of ["series", "volume", "preset", "centre", "width"]) this[name] = figure.querySelector(`.${name}`);
    this.svg = figure.querySelector("svg");
    this.image = figure.querySelector("image");
    this.path = figure.querySelector("path");
    this.caption = figure.querySelector("figcaption");
    this.faults = figure.querySelector(".faults");
    this.turn = 0; // counts choices of what is shown
    this.look = 0; // counts slices that were asked for
    this.series.addEventListener("change", () => this.open().then(() => viewer.refit()));
    this.volume.addEventListener("change", () => this.choose().then(() => viewer.refit()));
    this.preset.addEventListener("change", () => this.byPreset());
    for (const field of [this.centre, this.width])
      field.addEventListener("change", () => {
        this.preset.value = "own";
        this.draw();
      });
    this.svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (this.plane) viewer.move(Math.sign(event.deltaY) * this.plane.step);
    }, { passive: false });
  }

  get address() {
    return `${this.viewer.study}/series/${this.series.value}/volumes`;
  }

  // One choice, which ends what was chosen before: its answers come too late, and nothing is shown until its own are
  // there. `steps` asks `isCurrent` after each answer before anything is assigned.
  async begin(steps) {
    const turn = ++this.turn;
    const isCurrent = () => turn === this.turn;
    this.plane = this.outline = null;
    this.blank("");
    try {
      await steps(isCurrent);
    } catch {
      if (isCurrent()) this.empty();
    }
  }

  open(series) {
    if (series) this.series.value = series;
    this.shown = this.presets = null;
    this.tell([]);
    return this.begin(async (isCurrent) => {
      const shown = await once(this.address);
      if (!isCurrent()) return;
      this.shown = shown;
      this.tell(shown.faults);
      this.offerVolumes();
      await this.choose();
    });
  }

  // What of the series cannot be looked at, and why.
  tell(faults) {
    const lines = faults.map((fault) => Object.assign(document.createElement("li"), { textContent: fault }));
    this.faults.replaceChildren(...lines);
    this.faults.hidden = !lines.length;
  }

  offerVolumes() {
    const words = this.viewer.words;
    const labels = this.shown.volumes.map((it) => {
      if (it.b_value !== null) return filled(words.weight, { b: it.b_value });
      if (it.time_s !== null) return filled(words.phase, { s: it.time_s.toFixed(0) });
      return filled(words.other, { n: it.number + 1 });
    });
    this.volume.replaceChildren(...labels.map((label, number) => new Option(label, number)));
    this.volume.value = Math.floor(labels.length / 2);
    this.figure.querySelector(".volumes").hidden = labels.length < 2;
  }

  choose() {
    this.presets = null;
    return this.begin(async (isCurrent) => {
      const { presets } = await once(`${this.address}/${this.volume.value}/presets`);
      if (!isCurrent()) return;
      this.presets = new Map(presets.map((it) => [it.name, it.window]));
      for (const it of this.preset.options) it.hidden = it.value !== "own" && !this.presets.has(it.value);
      if (this.preset.value !== "own" || !this.centre.value) this.byPreset(false);
      await this.turnTo();
    });
  }

  byPreset(draws = true) {
    const window = this.presets?.get(this.preset.value) ?? this.presets?.get("automatic");
    if (!window) return;
    this.centre.value = window.centre.toPrecision(5);
    this.width.value = window.width.toPrecision(5);
    if (draws) this.draw();
  }

  async turnTo() {
    if (!this.presets) return; // the volume is not there yet; it comes in the plane that is wanted then
    await this.begin(async (isCurrent) => {
      const { planes, segmentations } = this.shown.volumes[this.volume.value];
      const wanted = this.viewer.orientation;
      const plane = planes.find((it) => (wanted ? it.orientation === wanted : it.acquired));
      const address = `${this.viewer.study}/contours/${segmentations[0]}/${plane.orientation}`;
      const outline = segmentations.length ? await once(address).catch(() => null) : null;
      if (isCurrent()) this.lay(plane, outline);
    });
  }

  lay(plane, outline) {
    this.plane = plane;
    this.outline = outline;
    const { left, top, width, height } = this.plane;
    this.svg.setAttribute("viewBox", `${left} ${top} ${width} ${height}`);
    for (const [name, value] of Object.entries({ x: left, y: top, width, height })) this.image.setAttribute(name, value);
    ["left", "right", "top", "bottom"].forEach((side, number) => {
      this.figure.querySelector(`.at-${side}`).textContent = this.plane.sides[number];
    });
  }

  get range() {
    const { first, step, slices } = this.plane;
    return [first, first + step * (slices - 1)];
  }

  contourAt(position) {
    if (!this.outline || !this.viewer.outlined) return "";
    const reach = Math.max(this.outline.step, this.plane.step) / 2 + 1e-3;
    let best = null;
    for (const it of this.outline.contours) {
      const apart = Math.abs(it.position - position);
      if (apart <= reach && (!best || apart < Math.abs(best.position - position))) best = it;
    }
    return best ? best.path : "";
  }

  async draw() {
    if (!this.plane) return;
    const turn = this.turn;
    const look = ++this.look;
    const isCurrent = () => turn === this.turn && look === this.look;
    const { first, step, slices, orientation } = this.plane;
    const index = Math.min(Math.max(Math.round((this.viewer.position - first) / step), 0), slices - 1);
    const window = `centre=${Number(this.centre.value)}&width=${Number(this.width.value)}&v=${this.shown.version}`;
    const at = (number) => `${this.address}/${this.volume.value}/${orientation}/${number}.png?${window}`;
    const picture = new Image();
    picture.src = at(index);
    try {
      await picture.decode();
    } catch {
      if (isCurrent()) this.blank(this.viewer.words.nothing);
      return;
    }
    if (!isCurrent()) return; // another slice was asked for meanwhile
    const position = first + index * step;
    this.image.setAttribute("href", picture.src);
    this.path.setAttribute("d", this.contourAt(position));
    this.caption.textContent = filled(this.viewer.words.slice, { n: index + 1, all: slices, mm: position.toFixed(1) });
    this.svg.dataset.position = position.toFixed(2);
    for (const next of [index - 1, index + 1]) if (next >= 0 && next < slices) new Image().src = at(next);
  }

  blank(words) {
    this.image.removeAttribute("href");
    this.path.setAttribute("d", "");
    this.caption.textContent = words;
  }

  empty() {
    this.turn++;
    this.shown = this.presets = this.plane = this.outline = null;
    this.blank(this.viewer.words.nothing);
  }
}

class Viewer {
  constructor(section) {
    this.study = section.dataset.study;
    this.words = section.dataset;
    this.slider = document.getElementById("position");
    this.output = document.getElementById("millimetres");
    this.planes = document.getElementById("plane");
    this.box = document.getElementById("outline");
    this.pair = document.getElementById("pair");
    this.panes = [...section.querySelectorAll(".pane")].map((figure) => new Pane(figure, this));
    this.slider.addEventListener("input", () => this.draw());
    this.box.addEventListener("change", () => this.draw());
    this.planes.addEventListener("change", async () => {
      await Promise.all(this.panes.map((pane) => pane.turnTo()));
      this.refit(true);
    });
    this.pair?.addEventListener("change", () => this.open());
  }

  get position() {
    return Number(this.slider.value);
  }

  get orientation() {
    return this.planes.value;
  }

  get outlined() {
    return this.box.checked;
  }

  async open() {
    const chosen = this.pair?.selectedOptions[0]?.dataset;
    const series = chosen ? [chosen.acquired, chosen.refined || chosen.acquired] : [];
    await Promise.all(this.panes.map((pane, number) => pane.open(series[number])));
    this.refit(true);
  }

  refit(centres = false) {
    const shown = this.panes.filter((pane) => pane.plane);
    if (!shown.length) return;
    const position = this.position;
    const ranges = shown.map((pane) => pane.range);
    this.slider.min = Math.min(...ranges.map((it) => it[0])).toFixed(2);
    this.slider.max = Math.max(...ranges.map((it) => it[1])).toFixed(2);
    this.slider.step = Math.min(...shown.map((pane) => pane.plane.step)).toFixed(4);
    const drawn = shown.find((pane) => pane.outline?.contours.length)?.outline.contours;
    const middle = drawn ? drawn[Math.floor(drawn.length / 2)].position : (ranges[0][0] + ranges[0][1]) / 2;
    this.slider.value = centres ? middle : position;
    this.draw();
  }

  move(millimetres) {
    this.slider.value = this.position + millimetres;
    this.draw();
  }

  draw() {
    const words = `${this.position.toFixed(1)} mm`;
    this.output.textContent = words;
    this.slider.setAttribute("aria-valuetext", words);
    for (const pane of this.panes) pane.draw();
  }
}

const section = document.getElementById("viewer");
if (section) new Viewer(section).open();
