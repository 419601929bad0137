// Files that a person chooses or drops, folders with all that lies in them; each with the path that it is shown by.

const entries = (directory) =>
  new Promise((done, failed) => {
    const reader = directory.createReader();
    const all = [];
    const next = () => reader.readEntries((some) => (some.length ? (all.push(...some), next()) : done(all)), failed);
    next();
  });

const within = async (entry) => {
  if (entry.isFile) {
    const file = await new Promise((done, failed) => entry.file(done, failed));
    return [{ path: entry.fullPath.replace(/^\//, ""), file }];
  }
  const found = [];
  for (const each of await entries(entry)) found.push(...(await within(each)));
  return found;
};

const dropped = async (transfer) => {
  const items = [...transfer.items].filter((it) => it.kind === "file");
  const roots = items.map((it) => ({ entry: it.webkitGetAsEntry(), file: it.getAsFile() })); // before anything is awaited
  const found = [];
  for (const { entry, file } of roots) found.push(...(entry ? await within(entry) : [{ path: file.name, file }]));
  return found;
};

export const token = () => JSON.parse(document.body.getAttribute("hx-headers"))["X-CSRF-Token"];

export const filled = (words, values) => words.replace(/\{(\w+)\}/g, (_, name) => values[name]);

// What the server answers to a file, as a part of the page.
export const sent = async (address, body, name = "") => {
  const headers = { "Content-Type": "application/octet-stream", "X-CSRF-Token": token(), "HX-Request": "true" };
  if (name) headers["X-File-Name"] = encodeURIComponent(name);
  const answer = await fetch(address, { method: "POST", body, headers });
  const elsewhere = answer.headers.get("HX-Redirect");
  if (elsewhere) location.assign(elsewhere);
  return { ok: answer.ok, text: await answer.text() };
};

// Calls `use` with the files whenever some are dropped on a box or chosen in it.
export const taking = (box, use) => {
  for (const input of box.querySelectorAll("input[type=file]"))
    input.addEventListener("change", () => {
      const found = [...input.files].map((file) => ({ path: file.webkitRelativePath || file.name, file }));
      input.value = "";
      if (found.length) use(found);
    });
  for (const kind of ["dragenter", "dragover"])
    box.addEventListener(kind, (event) => {
      event.preventDefault();
      box.classList.add("over");
    });
  box.addEventListener("dragleave", (event) => box.contains(event.relatedTarget) || box.classList.remove("over"));
  box.addEventListener("drop", async (event) => {
    event.preventDefault();
    box.classList.remove("over");
    const found = await dropped(event.dataTransfer);
    if (found.length) use(found);
  });
};
