"use strict";
(() => {
  const facts = JSON.parse(document.getElementById("facts").textContent);
  const methods = Object.entries(facts.methods);
  const results = document.getElementById("results");
  const said = document.getElementById("said");
  const clear = document.getElementById("clear");
  const always = document.getElementById("always");
  const AT_ONCE = 4, AGAIN = 5;
  const waiting = [];
  let sending = 0;

  always.hidden = methods.length === 0;
  // What can be touched has a camera more often than not.
  document.getElementById("camera").parentElement.hidden = navigator.maxTouchPoints === 0;

  const percent = (share) => `${(100 * share).toFixed(1)} %`;

  // What comes from files and from the server is only ever text, never HTML.
  function made(name, parent, text = "", kind = "") {
    const element = document.createElement(name);
    element.textContent = text;
    element.className = kind;
    parent.append(element);
    return element;
  }

  async function ask(file, method) {
    if (file.size > facts.maxBytes) {
      throw new Error(`the file has ${file.size.toLocaleString("en")} bytes, more than the ` +
        `${facts.maxBytes.toLocaleString("en")} that are taken`);
    }
    const query = method ? `?explain=${encodeURIComponent(method)}` : "";
    for (let attempt = 1; ; attempt += 1) {
      const form = new FormData();
      form.append("files", file);
      let response, answer;
      try {
        response = await fetch(`predict${query}`, { method: "POST", body: form });
        answer = await response.json();
      } catch {
        throw new Error("the server cannot be reached");
      }
      const again = response.headers.get("Retry-After");
      if (again === null || attempt === AGAIN) {
        if (answer.error) throw new Error(answer.error);
        return answer.results[0];
      }
      await new Promise((resolve) => setTimeout(resolve, 1000 * Number(again)));
    }
  }

  function next() {
    while (sending < AT_ONCE && waiting.length > 0) {
      sending += 1;
      waiting.shift()().finally(() => {
        sending -= 1;
        next();
      });
    }
  }

  function card(file) {
    const name = file.name || "pasted image";
    const item = document.createElement("li");
    item.className = "busy";
    const picture = made("div", item, "", "picture");
    const image = made("img", picture);
    const address = URL.createObjectURL(file);
    image.alt = name;
    image.src = address;
    // Browsers do not show every format that the server reads.
    const none = document.createElement("div");
    none.className = "none";
    none.textContent = "no preview";
    image.addEventListener("error", () => image.replaceWith(none));
    item.forget = () => URL.revokeObjectURL(address);
    made("p", item, name, "file");
    const heading = made("h2", item, "…", "said");
    const top = made("ol", item, "", "top");
    const views = made("div", item, "", "views");
    results.prepend(item);
    clear.hidden = false;

    function show(result) {
      const first = result.top[0];
      item.className = result.known ? "" : "unsure";
      heading.textContent = result.known ? first.label : "Not sure";
      top.replaceChildren();
      for (const each of result.top) {
        const row = made("li", top);
        made("span", row, each.label);
        made("span", row, percent(each.probability));
        const bar = made("div", row, "", "bar");
        bar.setAttribute("aria-hidden", "true");
        made("i", bar).style.width = `${100 * each.probability}%`;
      }
      if (!result.known) {
        made("li", top, `No class has the ${percent(facts.threshold)} that an answer needs.`);
      }
      said.textContent = result.known
        ? `${name}: ${first.label}, ${percent(first.probability)}`
        : `${name}: not sure; perhaps ${first.label}, ${percent(first.probability)}`;
      buttons();
      if (result.explanation) explained(result.explanation);
    }

    function fail(error) {
      item.className = "wrong";
      heading.textContent = error.message;
      top.replaceChildren();
      said.textContent = `${name}: ${error.message}`;
    }

    const maps = new Map();

    function press(method) {
      for (const button of views.children) {
        button.setAttribute("aria-pressed", String(button.value === method));
      }
    }

    function explained(explanation) {
      maps.set(explanation.method, explanation);
      image.src = explanation.image;
      image.alt = `${name}: where the net looks for ${explanation.label}, ${facts.methods[explanation.method]}`;
      none.replaceWith(image);
      press(explanation.method);
    }

    async function look(button) {
      const method = button.value;
      if (method === "") {
        image.src = address;
        image.alt = name;
        press("");
      } else if (maps.has(method)) {
        explained(maps.get(method));
      } else {
        button.disabled = true;
        try {
          explained((await ask(file, method)).explanation);
          said.textContent = `${name}: ${button.textContent} is shown`;
        } catch (error) {
          said.textContent = `${name}: ${error.message}`;
          made("p", views, error.message);
        }
        button.disabled = false;
        button.focus();
      }
    }

    function buttons() {
      if (views.childElementCount > 0 || methods.length === 0) return;
      for (const [value, title] of [["", "Image"], ...methods]) {
        const button = made("button", views, title);
        button.type = "button";
        button.value = value;
        button.setAttribute("aria-pressed", String(value === ""));
        button.addEventListener("click", () => look(button));
      }
    }

    const method = always.querySelector("input").checked ? methods[0][0] : "";
    waiting.push(() => ask(file, method).then(show, fail));
  }

  function take(files) {
    for (const file of files) card(file);
    next();
  }

  for (const id of ["choose", "camera"]) {
    document.getElementById(id).addEventListener("change", (event) => {
      take([...event.target.files]);
      // So that the same file may be chosen again.
      event.target.value = "";
    });
  }
  document.addEventListener("paste", (event) => take([...event.clipboardData.files]));
  const isFiles = (event) => event.dataTransfer !== null && [...event.dataTransfer.types].includes("Files");
  for (const kind of ["dragenter", "dragover"]) {
    document.addEventListener(kind, (event) => {
      if (!isFiles(event)) return;
      event.preventDefault();
      document.body.classList.add("over");
    });
  }
  for (const kind of ["dragleave", "drop"]) {
    document.addEventListener(kind, (event) => {
      if (kind === "drop" && isFiles(event)) {
        event.preventDefault();
        take([...event.dataTransfer.files]);
      }
      if (kind === "drop" || event.relatedTarget === null) document.body.classList.remove("over");
    });
  }
  clear.addEventListener("click", () => {
    for (const item of results.children) item.forget();
    results.replaceChildren();
    clear.hidden = true;
    said.textContent = "";
    document.getElementById("choose").focus();
  });
})();
