// Headers of files that are dropped, sent together with the rules that they are tried with; pixels stay where they are.

import { filled, sent, taking } from "./files.js";

const MOST_OF_A_FILE = 8 * 1024 * 1024; // bytes in which a header ends
const PIXEL_DATA = [0xe0, 0x7f, 0x10, 0x00]; // the tag, little endian

// Where the last Pixel Data begins (an icon has some of its own, before it), else all of what was read.
const header = async (file) => {
  const bytes = new Uint8Array(await file.slice(0, MOST_OF_A_FILE).arrayBuffer());
  for (let at = bytes.lastIndexOf(PIXEL_DATA[0]); at > 0; at = bytes.lastIndexOf(PIXEL_DATA[0], at - 1))
    if (PIXEL_DATA.every((value, number) => bytes[at + number] === value)) return bytes.subarray(0, at);
  return bytes;
};

const part = (bytes) => {
  const length = new DataView(new ArrayBuffer(4));
  length.setUint32(0, bytes.length, true);
  return [length.buffer, bytes];
};

const box = document.querySelector("[data-tries]");
const text = document.getElementById("text");
const progress = box?.querySelector(".progress");
const tried = document.getElementById("tried");

const show = async (files) => {
  const words = new TextEncoder();
  const parts = part(words.encode(text.value));
  for (const { path, file } of files) parts.push(...part(words.encode(path)), ...part(await header(file)));
  progress.textContent = filled(box.dataset.progress, { n: files.length });
  try {
    tried.innerHTML = (await sent(box.dataset.tries, new Blob(parts))).text;
  } catch (error) {
    tried.textContent = error.message;
  }
  progress.textContent = "";
};

if (box) {
  let files = []; // of the last drop, which are tried again when the rules have changed
  taking(box, (found) => show((files = found)));
  text.addEventListener("change", () => files.length && show(files));
  const copy = document.getElementById("copy");
  copy.addEventListener("click", async () => {
    text.select();
    await navigator.clipboard?.writeText(text.value);
    copy.nextElementSibling.value = navigator.clipboard ? copy.dataset.done : "";
  });
}
