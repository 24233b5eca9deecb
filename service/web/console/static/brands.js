// The look of a brand as it will be: the real widget beside the form, changed while one writes, and its line to copy.
(() => {
  "use strict";
  const stage = document.getElementById("stage");
  const form = document.getElementById("look-form");
  const snippet = document.getElementById("snippet");
  const copy = document.getElementById("copy");
  if (!stage || !form || !snippet || !copy) return;
  const chat = document.createElement("brandvoice-chat");
  // A phone's chat covers the screen, and with it this form: there it stands in the page.
  const floats = !matchMedia("(max-width: 639.98px)").matches;
  chat.toggleAttribute("floating", floats);
  stage.classList.toggle("inside", !floats);
  chat.setAttribute("site", stage.dataset.site);
  const value = (name) => form.elements.namedItem(name).value;
  const show = () => {
    chat.setAttribute("accent", value("accent"));
    chat.setAttribute("greeting", value("greeting").trim());
    chat.setAttribute("position", value("position"));
    const start = value("position") === "start" ? ' data-position="start"' : "";
    const { host, site } = snippet.dataset;
    snippet.value = `<script src="${host}/widget.js" data-site="${site}" data-accent="${value("accent")}"${start} async></` + "script>";
  };
  show();
  stage.append(chat);
  // Only now: the widget's script puts a chat of its own into a page that has none yet.
  const widget = document.createElement("script");
  widget.src = "/widget.js";
  widget.dataset.site = stage.dataset.site;
  document.head.append(widget);
  form.addEventListener("input", show);
  if (floats) customElements.whenDefined("brandvoice-chat").then(() => chat.open({ focus: false }));
  copy.addEventListener("click", async () => {
    snippet.select();
    try {
      await navigator.clipboard.writeText(snippet.value);
    } catch {
      document.execCommand("copy"); // without TLS there is no clipboard
    }
    document.getElementById("copied").textContent = copy.dataset.done;
  });
})();
