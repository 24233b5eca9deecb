// Contrast as WCAG 2.2 defines it: relative luminance of sRGB, (lighter + 0.05) / (darker + 0.05).
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const hex = (channels) => '#' + channels.map((c) => Math.round(c).toString(16).padStart(2, '0')).join('');
const luminance = (color) => {
  const [r, g, b] = rgb(color).map((c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const contrast = (a, b) => {
  const [dark, light] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (light + 0.05) / (dark + 0.05);
};
/** The colour itself, or the nearest mix with `towards` that reaches `ratio` on `ground`. */
const readable = (color, ground, towards, ratio) => {
  for (let share = 0; share <= 1; share += 0.04) {
    const mixed = hex(rgb(color).map((c, i) => c + (rgb(towards)[i] - c) * share));
    if (contrast(mixed, ground) >= ratio) return mixed;
  }
  return towards;
};
const onColor = (fill) => (contrast('#ffffff', fill) >= 4.5 ? '#ffffff' : '#000000');
const LIGHT = '#f6f5f3';
const DARK = '#26282d';
