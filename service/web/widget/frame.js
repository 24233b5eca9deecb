/*! brandvoice chat widget. Hand-written; the gateway joins the files of this folder and leaves out comments and indents. Apache-2.0.
 *
 *   <script src="https://HOST/widget.js" data-site="pk_..." async></script>
 *
 * docs/widget.md says what else there is: the element <brandvoice-chat>, window.brandvoice(...), colours, signed identity.
 */
(() => {
'use strict';
const script = document.currentScript;
if (!script || customElements.get('brandvoice-chat')) return;

/* parts */
})();
