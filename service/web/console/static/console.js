// What the console's pages need of a script: times in the reader's zone, a link that is selected by a click, and a word
// at what a page asks by itself, so that a page which is left open keeps nobody signed in.
(() => {
  "use strict";
  const zoned = (root) => {
    for (const time of root.querySelectorAll("time[data-local]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const page = document.documentElement.lang;
      // Of the reader's own kinds of this language: 26 Nov is Nov 26 elsewhere.
      const language = navigator.languages.find((one) => one.split("-")[0] === page.split("-")[0]) ?? page;
      time.title = time.textContent;
      time.textContent = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(at);
      time.removeAttribute("data-local");
    }
  };
  document.addEventListener("click", (event) => {
    if (event.target.matches?.("[data-select]")) event.target.select();
  });
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (!detail.triggeringEvent) detail.headers["X-By-Itself"] = "yes";
  });
  document.addEventListener("htmx:load", (event) => zoned(event.detail.elt));
  zoned(document);
})();
