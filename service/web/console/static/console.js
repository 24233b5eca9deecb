// What the console's pages need of a script: times in the reader's zone, a link that is selected by a click.
(() => {
  "use strict";
  const zoned = (root) => {
    for (const time of root.querySelectorAll("time[data-local]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const language = document.documentElement.lang;
      time.title = time.textContent;
      time.textContent = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" }).format(at);
      time.removeAttribute("data-local");
    }
  };
  document.addEventListener("click", (event) => {
    if (event.target.matches?.("[data-select]")) event.target.select();
  });
  document.addEventListener("htmx:load", (event) => zoned(event.detail.elt));
  zoned(document);
})();
