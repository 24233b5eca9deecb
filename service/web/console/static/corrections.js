// The review by keys: each does what the button or link with the same `data-key` does. They can be switched off, since
// who speaks to a computer may say a letter without meaning it (WCAG 2.1.4).
(() => {
  "use strict";
  const STORE = "brandvoice.review.keys";
  const box = document.getElementById("keys");
  const stored = () => {
    try {
      return localStorage.getItem(STORE);
    } catch {
      return null;
    }
  };
  if (box) {
    box.checked = stored() !== "off";
    box.addEventListener("change", () => {
      try {
        localStorage.setItem(STORE, box.checked ? "on" : "off");
      } catch {
        // Without a store it holds for this page alone.
      }
    });
  }
  const writes = (element) => element.matches("input:not([type=checkbox]), textarea, select");
  document.addEventListener("keydown", (event) => {
    if (event.altKey || event.metaKey || event.isComposing) return;
    const form = document.getElementById("words");
    if (form && event.key === "Enter" && event.ctrlKey) {
      event.preventDefault();
      form.requestSubmit();
      return;
    }
    if (event.ctrlKey) return;
    if (event.key === "Escape") {
      if (form) document.getElementById("leave").click();
      else if (writes(event.target)) event.target.blur();
      return;
    }
    if (writes(event.target) || (box && !box.checked && event.key !== "?")) return;
    const wanted = document.querySelector(`[data-key="${CSS.escape(event.key)}"]`);
    if (!wanted || event.repeat) return;
    event.preventDefault();
    if (wanted.matches("details")) {
      wanted.open = !wanted.open;
      if (wanted.open) wanted.querySelector("summary").focus();
    } else wanted.click();
  });
})();
