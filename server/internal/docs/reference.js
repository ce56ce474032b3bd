"use strict";

const forms = [...document.querySelectorAll("form[data-path]")];

// requestOf returns the request that a form describes.
function requestOf(form) {
  let path = form.dataset.path;
  const query = new URLSearchParams();
  const headers = {};
  for (const { value, dataset: { in: place, name } } of form.querySelectorAll("[data-in]")) {
    if (value === "") continue;
    if (place === "path") path = path.replace(`{${name}}`, () => encodeURIComponent(value));
    else if (place === "query") query.set(name, value);
    else headers[name] = value;
  }
  const { body, example } = form.elements;
  if (body) headers["Content-Type"] = example.selectedOptions[0].dataset.type;
  return { method: form.dataset.method, url: location.origin + path + (query.size ? `?${query}` : ""), headers, body: body?.value };
}

// curl returns the command that sends a request.
function curl({ method, url, headers, body }, keyHeader) {
  const quoted = (text) => (/^[\w:/.-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
  const lines = [`curl --request ${method}`, `--url ${quoted(url)}`];
  for (const [name, value] of Object.entries({ [keyHeader]: "YOUR-KEY", ...headers })) lines.push(`--header ${quoted(`${name}: ${value}`)}`);
  if (body !== undefined) lines.push(`--data ${quoted(body)}`);
  return lines.join(" \\\n  ");
}

async function send(form) {
  const { method, url, headers, body } = requestOf(form);
  const outcome = form.querySelector(".outcome");
  const received = form.querySelector(".received");
  received.hidden = true;
  outcome.textContent = "Sending…";
  const start = performance.now();
  try {
    const response = await fetch(url, { method, headers, body, credentials: "omit", cache: "no-store" });
    let text = await response.text();
    const duration = Math.round(performance.now() - start);
    try {
      text = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // Show text that is not JSON unchanged.
    }
    const state = document.createElement("span");
    state.className = response.ok ? "state good" : "state warn";
    state.textContent = `${response.status} ${response.statusText}`;
    outcome.replaceChildren(state, ` in ${duration} ms`);
    received.querySelector(".headers").textContent = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
    received.querySelector("pre[id]").textContent = text || "There is none.";
    received.hidden = false;
  } catch (error) {
    outcome.textContent = `The request was not sent, or got no response: ${error.message}. Check that the server runs and that header values are plain text.`;
  }
}

for (const form of forms) {
  const { key, body, example } = form.elements;
  const refresh = () => {
    document.getElementById(key.id.replace(/key$/, "command")).textContent = curl(requestOf(form), key.dataset.name);
  };
  const choose = () => {
    if (body) body.value = example.value;
    refresh();
  };
  form.hidden = false;
  form.addEventListener("input", refresh);
  example?.addEventListener("change", choose);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    send(form);
  });
  key.addEventListener("input", () => setKey(key.value));
  form.refresh = refresh;
  choose();
}

const keyForAll = document.getElementById("key-for-all");
if (keyForAll) {
  keyForAll.hidden = false;
  keyForAll.elements.key.addEventListener("input", ({ target }) => setKey(target.value));
  keyForAll.addEventListener("submit", (event) => event.preventDefault());
}

// setKey fills in a key everywhere. It is stored in the fields only.
function setKey(secret) {
  if (keyForAll) keyForAll.elements.key.value = secret;
  for (const form of forms) {
    form.elements.key.value = secret;
    form.refresh();
  }
}

// The dashboard's page opens in another window, creates a test key, and sends it to this page.
for (const button of document.querySelectorAll("[data-test-key]")) {
  button.addEventListener("click", () => window.open(button.dataset.testKey, "test-key", "width=520,height=640"));
}

window.addEventListener("message", ({ origin, data }) => {
  if (origin === location.origin && typeof data?.testKey === "string") setKey(data.testKey);
});

// Links to earlier versions of the page, which had other fragments, end with the operation, too.
const [, operation] = location.hash.match(/^#\/.*\/(\w+)$/) ?? [];
if (operation) location.replace("#" + operation);
