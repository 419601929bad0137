// Sends files one by one, a few at the same time; what became of each is what the server says.

import { filled, sent, taking } from "./files.js";

const AT_ONCE = 3;

class Box {
  constructor(element) {
    this.element = element;
    this.progress = element.querySelector(".progress");
    this.target = document.querySelector(element.dataset.showsIn);
    this.waiting = [];
    this.ended = this.all = this.running = 0;
    taking(element, (files) => this.add(files));
  }

  add(files) {
    if (!this.running) this.ended = this.all = 0;
    this.all += files.length;
    this.waiting.push(...files);
    while (this.running < AT_ONCE && this.waiting.length) this.work();
  }

  async work() {
    this.running++;
    for (let next = this.waiting.shift(); next; next = this.waiting.shift()) {
      this.tell();
      this.show(await this.send(next));
      this.ended++;
    }
    this.running--;
    this.tell();
    if (!this.running) htmx.trigger(document.body, "changed");
  }

  async send({ path, file }) {
    try {
      return (await sent(this.element.dataset.sendsTo, file, path)).text;
    } catch (error) {
      const line = document.createElement("p");
      line.className = "fault";
      line.textContent = `${path}: ${error.message}`;
      return line.outerHTML;
    }
  }

  show(text) {
    if (this.element.dataset.keeps) this.target.insertAdjacentHTML("beforeend", text);
    else this.target.innerHTML = text;
  }

  tell() {
    this.progress.textContent = filled(this.element.dataset.progress, { n: this.ended, all: this.all });
  }
}

for (const element of document.querySelectorAll("[data-sends-to]")) new Box(element);
