/* Connects the shop's buttons with the chat widget. Calls made before the widget has loaded are kept by the stub. */
(() => {
  'use strict';
  window.brandvoice = window.brandvoice || function () {
    (window.brandvoice.q = window.brandvoice.q || []).push(arguments);
  };
  for (const button of document.querySelectorAll('[data-open-chat]')) {
    button.hidden = false;
    button.addEventListener('click', () => window.brandvoice('open'));
  }
  for (const button of document.querySelectorAll('[data-ask]')) {
    button.addEventListener('click', () => window.brandvoice('send', button.dataset.ask));
  }
})();
