// The page interface: window.brandvoice(command, ...values).
const start = () => {
  const chat = document.createElement('brandvoice-chat');
  document.body.append(chat);
  const commands = {
    open: () => chat.open(),
    close: () => chat.close(),
    toggle: () => chat.toggle(),
    reset: () => chat.reset(),
    on: (event, handler) => chat.on(event, handler),
    send: (text) => {
      chat.open();
      if (typeof text === 'string' && text.trim()) chat.say(text.trim());
    },
  };
  const early = window.brandvoice?.q ?? [];
  window.brandvoice = (command, ...values) => {
    if (Object.hasOwn(commands, command)) return commands[command](...values);
    console.warn(`brandvoice: no command ${JSON.stringify(command)}; there are ${Object.keys(commands).join(', ')}`);
  };
  for (const call of early) window.brandvoice(...call);
};
if (document.body) start();
else addEventListener('DOMContentLoaded', start);
