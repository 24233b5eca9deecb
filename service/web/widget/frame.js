/*! brandvoice chat widget. Hand-written; the gateway joins the files of this folder and serves them as they are. Apache-2.0.
 *
 *   <script src="https://HOST/widget.js" data-site="pk_..." async></script>
 *
 * Optional: data-accent="#7a1f2b" colours the launcher before the first connection, data-label="Help" names it.
 * Page interface: brandvoice('open' | 'close' | 'toggle' | 'reset'), brandvoice('send', text),
 * brandvoice('on', event, handler) with the events ready, open, close, sent, message, handoff, attendant, unread, connection, error.
 * Calls made before this file has loaded are kept when the page defines the stub
 *   window.brandvoice = window.brandvoice || function () { (brandvoice.q = brandvoice.q || []).push(arguments); };
 */
(() => {
'use strict';
const script = document.currentScript;
if (!script || customElements.get('brandvoice-chat')) return;

/* parts */
})();
