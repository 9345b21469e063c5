// What a reader could stumble over on a page: text too pale, text over text, text cut off. One list of faults each.
(() => {
  const parse = (text) => {
    const [r, g, b, a = "1"] = text.match(/[\d.]+/g) ?? ["0", "0", "0", "0"];
    return [Number(r), Number(g), Number(b), text === "transparent" ? 0 : Number(a)];
  };
  const over = ([r, g, b, a], [x, y, z]) => [r * a + x * (1 - a), g * a + y * (1 - a), b * a + z * (1 - a), 1];
  const light = ([r, g, b]) => [r, g, b].map((part) => part / 255)
    .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const ratio = (one, other) => {
    const [low, high] = [light(one), light(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };

  // What lies behind an element: the grounds of all elements around it, the opaque one first.
  function ground(element) {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  }

  function opacity(element) {
    let all = 1;
    for (let at = element; at; at = at.parentElement) all *= Number(getComputedStyle(at).opacity);
    return all;
  }

  // Every visible piece of text with its box; text for screen readers alone and traces of ECG paper are left out.
  function pieces() {
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT), found = [];
    while (walker.nextNode()) {
      const node = walker.currentNode, element = node.parentElement;
      if (!node.textContent.trim() || element.closest("script, style, noscript, .unseen, .skip, defs")) continue;
      if (!element.checkVisibility({ checkOpacity: true, checkVisibilityCSS: true })) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const boxes = element instanceof SVGElement ? [element.closest("text").getBoundingClientRect()] : [...range.getClientRects()];
      found.push({ text: node.textContent.trim().slice(0, 40), element, boxes: boxes.filter((box) => box.width > 0) });
    }
    return found;
  }

  const said = (piece) => `${piece.text} <${piece.element.closest("[id]")?.id}>`;

  function pale(least) {
    return pieces().flatMap((piece) => {
      const style = getComputedStyle(piece.element), behind = ground(piece.element);
      const colour = parse(piece.element instanceof SVGElement ? style.fill : style.color);
      const shown = ratio(over([...colour.slice(0, 3), colour[3] * opacity(piece.element)], behind), behind);
      return shown < least ? [`${said(piece)}: ${shown.toFixed(2)}`] : [];
    });
  }

  // Colours that the canvas writes with, on its ground.
  function paleOnCanvas(least) {
    const probe = document.createElement("p");
    document.body.append(probe);
    const colour = (name) => { probe.style.color = `var(--${name})`; return parse(getComputedStyle(probe).color); };
    const faults = ["ink", "soft", "fault", "accent"].filter((name) => ratio(colour(name), colour("raised")) < least);
    probe.remove();
    return faults;
  }

  const WHOLE = "text, p, dd, figcaption, h1";

  function overlapping() {
    const flat = pieces().filter(({ element }) => !element.closest(".paper"))
      .flatMap((piece) => piece.boxes.map((box) => ({ piece, box, whole: piece.element.closest(WHOLE) })))
      .sort((one, other) => one.box.top - other.box.top);
    const faults = [];
    flat.forEach(({ piece, box, whole }, at) => {
      for (let next = at + 1; next < flat.length && flat[next].box.top < box.bottom - 3; next++) {
        const other = flat[next];
        const wide = Math.min(box.right, other.box.right) - Math.max(box.left, other.box.left);
        const high = Math.min(box.bottom, other.box.bottom) - Math.max(box.top, other.box.top);
        const apart = whole === null || whole !== other.whole; // lines of one paragraph may touch
        if (wide > 2 && high > 3 && apart) faults.push(`${said(piece)} and ${said(other.piece)}`);
      }
    });
    return faults;
  }

  // Text that leaves the page, its chart, or a box that does not scroll.
  function cut() {
    return pieces().flatMap((piece) => {
      const chart = piece.element.closest(".chart"), scrolls = piece.element.closest(".scroll, .frame[tabindex], .paper, pre");
      const frame = chart ? chart.getBoundingClientRect() : scrolls ? null : { left: 0, right: innerWidth, top: -Infinity, bottom: Infinity };
      if (frame === null) return [];
      const out = piece.boxes.some((box) => box.left < frame.left - 1 || box.right > frame.right + 1
        || box.top < frame.top - 1 || box.bottom > frame.bottom + 1);
      const box = piece.element.closest("button, td, th, dd, dt, code, p, h1, h2, h3, h4");
      const squeezed = box && !scrolls && box.scrollWidth > box.clientWidth + 1 && getComputedStyle(box).display !== "inline";
      return out || squeezed ? [said(piece)] : [];
    });
  }

  window.look = { pale, paleOnCanvas, overlapping, cut };
})();
