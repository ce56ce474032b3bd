"use strict";

// The buttons that copy need JavaScript, so they are hidden without it.
for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const text = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      button.textContent = "Copied";
    } catch {
      // Browsers give pages the clipboard over TLS and on localhost only.
      getSelection().selectAllChildren(source);
      if (source.select) source.select();
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => (button.textContent = text), 3000);
  });
}

// A key for the reference page goes to the window that asked for it, of this site only.
const handOver = document.querySelector("[data-hand-over]");
if (handOver && window.opener) {
  window.opener.postMessage({ testKey: handOver.value }, location.origin);
  window.close();
}
