// The inbox: only what changed is put into the page, nothing half-typed is lost, and keys do what buttons do.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const letters = "[data-shortcut]";

  // --- What changed: children are told apart by their ids, and left alone while `data-v` stays the same.
  const merge = (target, source, fresh) => {
    const wanted = new Set([...source.children].map((child) => child.id));
    for (const child of [...target.children]) if (!wanted.has(child.id)) child.remove();
    const kept = new Map([...target.children].map((child) => [child.id, child]));
    let place = target.firstElementChild;
    for (const next of [...source.children]) {
      const old = kept.get(next.id);
      let node = next;
      if (old?.hasAttribute("data-keyed") && next.hasAttribute("data-keyed")) {
        merge(old, next, fresh);
        node = old;
      } else if (old && old.dataset.v === next.dataset.v) {
        node = old;
      } else {
        fresh.push(next);
        if (old) {
          for (const opened of old.querySelectorAll("details[id][open]")) next.querySelector(`#${CSS.escape(opened.id)}`)?.setAttribute("open", "");
          if (place === old) place = next;
          old.replaceWith(next);
        }
      }
      if (node === place) place = node.nextElementSibling;
      else target.insertBefore(node, place);
    }
  };
  htmx.defineExtension("keyed", {
    isInlineSwap: (style) => style === "keyed",
    handleSwap: (style, target, fragment) => {
      if (style !== "keyed") return false;
      const thread = byId("thread");
      const atEnd = thread && thread.scrollHeight - thread.scrollTop - thread.clientHeight < 80;
      const fresh = [];
      merge(target, fragment, fresh);
      if (atEnd) toEnd();
      return fresh;
    },
  });
  const toEnd = () => {
    const thread = byId("thread");
    if (thread) thread.scrollTop = thread.scrollHeight;
  };
  const count = () => {
    const waiting = Number(byId("tabs")?.dataset.waiting || 0);
    const plain = document.title.replace(/^\(\d+\) /, "");
    document.title = waiting ? `(${waiting}) ${plain}` : plain;
  };

  // --- Asking what changed.
  const follows = (element) => element?.hasAttribute?.("data-follow");
  // Events of an answer are the target's: who asked stands in the request.
  const asker = (detail) => detail.requestConfig?.elt ?? detail.elt;
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (follows(detail.elt)) detail.headers["X-Seen"] = detail.elt.dataset.seen || "";
  });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (follows(event.detail.elt) && document.hidden) event.preventDefault();
  });
  const lost = (is) => {
    if (byId("offline")) byId("offline").hidden = !is;
  };
  for (const name of ["htmx:sendError", "htmx:responseError"]) {
    document.addEventListener(name, ({ detail }) => {
      if (follows(asker(detail))) lost(true);
    });
  }
  // A poll that failed must not speak up each time: one line says so, until one succeeds.
  document.addEventListener("htmx:beforeSwap", ({ detail }) => {
    if (follows(asker(detail)) && detail.xhr.status >= 400) detail.shouldSwap = false;
  });
  document.addEventListener("htmx:afterRequest", ({ detail }) => {
    const by = asker(detail);
    if (follows(by)) {
      if (detail.successful) lost(false);
    } else if (detail.successful && by.matches?.("form")) {
      byId("problem").replaceChildren();
    }
    const seen = detail.xhr?.getResponseHeader?.("X-Seen");
    if (seen && detail.successful && detail.target?.dataset) detail.target.dataset.seen = seen;
    if (detail.successful && by.matches?.("form[data-draft]")) sent(by);
    count();
  });

  // --- Writing. A draft lives as long as the tab, so that neither a reload nor another conversation loses it.
  const remember = (name, text) => {
    try {
      if (text) sessionStorage.setItem(name, text);
      else sessionStorage.removeItem(name);
    } catch { /* storage is full or off: then nothing is remembered */ }
  };
  const remembered = (name) => {
    try { return sessionStorage.getItem(name) || ""; } catch { return ""; }
  };
  const sent = (form) => {
    const field = form.elements.text;
    field.value = "";
    remember(form.dataset.draft, "");
    // The next words are another message: a key of their own lets each be sent once.
    if (form.elements.key) form.elements.key.value = [...crypto.getRandomValues(new Uint8Array(12))].map((one) => one.toString(16).padStart(2, "0")).join("");
    byId("lint")?.replaceChildren();
    toEnd();
    if (document.activeElement === document.body) field.focus();
  };
  for (const form of document.querySelectorAll("form[data-draft]")) {
    const field = form.elements.text;
    if (!field.value) field.value = remembered(form.dataset.draft);
    field.addEventListener("input", () => remember(form.dataset.draft, field.value));
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
        event.preventDefault();
        form.requestSubmit();
      }
    });
    if (field.value && form.id === "note") byId("note-form").open = true;
  }
  document.addEventListener("click", ({ target }) => {
    const reply = target.closest?.("[data-insert]");
    const opener = target.closest?.("[data-open]");
    if (reply) {
      const field = byId("answer-text");
      field.setRangeText(reply.dataset.insert, field.selectionStart, field.selectionEnd, "end");
      byId("canned").open = false;
      field.focus();
      field.dispatchEvent(new Event("input", { bubbles: true }));
    } else if (opener) {
      byId(opener.dataset.open).showModal();
    }
  });

  // --- Keys. Single letters can be switched off (WCAG 2.1.4), and never act while one writes.
  const OFF = "brandvoice-keys-off";
  const box = byId("keys-on");
  const isOff = () => {
    try { return localStorage.getItem(OFF) === "yes"; } catch { return false; }
  };
  if (box) {
    box.checked = !isOff();
    box.addEventListener("change", () => {
      try { localStorage.setItem(OFF, box.checked ? "no" : "yes"); } catch { /* then for this page only */ }
    });
  }
  const step = (by) => {
    const links = [...document.querySelectorAll("a.conversation")];
    const at = links.findIndex((link) => link === document.activeElement || (link.ariaCurrent === "page" && !links.includes(document.activeElement)));
    links[Math.min(links.length - 1, Math.max(0, at + by))]?.focus();
  };
  const writes = (element) => element?.matches?.("input:not([type=checkbox]), textarea, select, [contenteditable]");
  document.addEventListener("keydown", (event) => {
    const active = document.activeElement;
    if (event.key === "Escape" && writes(active)) active.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || writes(active)) return;
    if (document.querySelector("dialog[open]") || (box && !box.checked)) return;
    if (event.key === "j" || event.key === "k") {
      step(event.key === "j" ? 1 : -1);
      return;
    }
    const target = [...document.querySelectorAll(letters)].find((one) => one.dataset.shortcut === event.key && one.checkVisibility());
    if (!target) return;
    event.preventDefault();
    if (writes(target)) target.focus();
    else target.click();
    if (target.matches("#note-form > summary") && byId("note-form").open) byId("note-text").focus();
    if (target.matches("#canned > summary") && byId("canned").open) byId("canned").querySelector("button")?.focus();
  });
  toEnd();
  count();
})();
