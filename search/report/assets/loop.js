"use strict";
// The source V as a loop in space, on a plain canvas: a machine without a graphics card turns it as well.
// Axes: x to the patient's left, y to the foot, z to the back. Orthographic, as the planes of a vectorcardiogram are.
(() => {
  const canvas = document.getElementById("loop");
  const pen = canvas.getContext("2d");
  const data = JSON.parse(document.getElementById("loop-data").textContent);
  const VIEWS = { // degrees about the foot axis, then about the screen's horizontal
    oblique: [-32, 18, "Oblique view, from the front and above"],
    frontal: [0, 0, "Frontal plane, seen from the front"],
    horizontal: [0, 90, "Horizontal plane, seen from above, front below"],
    sagittal: [90, 0, "Sagittal plane, seen from the left, front to the left"],
  };
  const WAYS = [["left", [1, 0, 0]], ["foot", [0, 1, 0]], ["front", [0, 0, -1]]];
  const DOT_MS = 20, KEY_STEP = 6, DRAG = 0.5, TURN = 24; // ms, degrees a key, a pixel, a second
  const FINE = 960, COARSE = 4; // steps of the chosen loop, and steps a sample of the others, which may be many
  const FILLED = 0.8, END_ON = 0.12; // share of the stage, sine
  const BESIDE = 26, BELOW = 14, STRIP = 40; // px from the edge to the middle of an axis's word, and for the scale
  const samples = data.loops[0][0].length, fine = Math.max(COARSE, Math.ceil(FINE / samples));
  const others = data.loops.map((loop) => smooth(loop, COARSE));
  const points = [...data.loops, ...(data.true ?? []), [[0], [0], [0]]].flatMap(([x, y, z]) => x.map((_, t) => [x[t], y[t], z[t]]));
  const middle = [0, 1, 2].map((axis) => (least(points, (point) => point[axis]) + most(points, (point) => point[axis])) / 2);
  const reach = Math.max(0.1, most(points, (point) => Math.hypot(...point.map((part, axis) => part - middle[axis]))));
  const unit = [0.05, 0.1, 0.2, 0.5, 1, 2, 5].findLast((size) => size <= 0.8 * reach) ?? 0.05; // mV, of the scale
  let [yaw, pitch] = VIEWS.oblique, view = "oblique", beat = 0, curve = [], truth = [], turning = 0, last = 0;
  let style, width, height, scale, bottom;

  // A call takes no more than some ten thousand arguments, so these are no Math.max(...): a record may have many points.
  function most(items, measure) { return items.reduce((found, item) => Math.max(found, measure(item)), -Infinity); }
  function least(items, measure) { return -most(items, (item) => -measure(item)); }

  // A loop as points, with so many steps a sample on a Catmull-Rom curve through all samples.
  function smooth(loop, steps) {
    const at = (axis, t) => loop[axis][Math.max(0, Math.min(samples - 1, t))];
    const count = (samples - 1) * steps + 1;
    return Array.from({ length: count }, (_, step) => {
      const t = Math.floor(step / steps), u = step / steps - t;
      return [0, 1, 2].map((axis) => {
        const [a, b, c, d] = [-1, 0, 1, 2].map((shift) => at(axis, t + shift));
        return b + u / 2 * (c - a + u * (2 * a - 5 * b + 4 * c - d + u * (3 * (b - c) + d - a)));
      });
    });
  }

  // A vector as it is seen: to the right, down, and towards the viewer, in mV.
  function turned([x, y, z]) {
    const [a, b] = [yaw * Math.PI / 180, pitch * Math.PI / 180];
    const across = x * Math.cos(a) + z * Math.sin(a), depth = z * Math.cos(a) - x * Math.sin(a);
    return [across, y * Math.cos(b) - depth * Math.sin(b), -(y * Math.sin(b) + depth * Math.cos(b))];
  }

  // A point of space on the screen, in pixels, and towards the viewer.
  function project(point) {
    const [right, down, near] = turned(point.map((part, axis) => part - middle[axis]));
    return [width / 2 + scale * right, bottom / 2 + scale * down, near];
  }

  // The scale at which all loops, as they are seen now, fill their share of the stage.
  function fit() {
    scale = 1;
    const seen = points.map(project);
    const [right, down] = [most(seen, ([x]) => Math.abs(x - width / 2)), most(seen, ([, y]) => Math.abs(y - bottom / 2))];
    const room = [Math.min(FILLED * width, width - 4 * BESIDE), FILLED * bottom];
    scale = Math.min(room[0] / Math.max(right, 0.1 * reach), room[1] / Math.max(down, 0.1 * reach)) / 2;
  }

  function colour(name) { return style.getPropertyValue(`--${name}`).trim(); }

  function line(points, name, thick, alpha = 1, dash = []) {
    pen.globalAlpha = alpha;
    pen.strokeStyle = colour(name);
    pen.lineWidth = thick;
    pen.setLineDash(dash);
    pen.beginPath();
    points.forEach(([x, y], step) => (step ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.stroke();
    pen.globalAlpha = 1;
    pen.setLineDash([]);
  }

  function dot([x, y], radius, name) {
    pen.fillStyle = colour(name);
    pen.beginPath();
    pen.arc(x, y, radius, 0, 2 * Math.PI);
    pen.fill();
  }

  // Words on a halo of the ground, so that no line runs through them.
  function word(text, x, y, name, align = "center") {
    pen.textAlign = align;
    pen.lineWidth = 5;
    pen.lineJoin = "round";
    pen.strokeStyle = colour("raised");
    pen.strokeText(text, x, y);
    pen.fillStyle = colour(name);
    pen.fillText(text, x, y);
  }

  // Pixels from a place until the edge of the stage, on a way that is one pixel long.
  function room([x, y], [dx, dy]) {
    const until = (at, way, low, high) => (way > 0 ? (high - at) / way : way < 0 ? (low - at) / way : Infinity);
    return Math.max(0, Math.min(until(x, dx, BESIDE, width - BESIDE), until(y, dy, BELOW, bottom - BELOW)));
  }

  // Axes reach the edge, where no loop is, so that their words stand free.
  function axes() {
    const origin = project([0, 0, 0]);
    for (const [name, way] of WAYS) {
      const [right, down] = turned(way), length = Math.hypot(right, down);
      if (length < END_ON) continue; // seen from its end
      const [dx, dy] = [right / length, down / length], [forth, back] = [room(origin, [dx, dy]), room(origin, [-dx, -dy])];
      const from = (distance) => [origin[0] + distance * dx, origin[1] + distance * dy];
      const tip = from(forth - 24 * Math.abs(dx) - 14 * Math.abs(dy)), words = from(forth);
      line([from(-back), tip], "quiet", 1);
      line([[-5, 4], [0, 0], [-5, -4]].map(([u, v]) => [tip[0] + u * dx - v * dy, tip[1] + u * dy + v * dx]), "soft", 1.4);
      word(name, words[0], words[1], "ink");
    }
    const [left, low] = [16, height - 14];
    line([[left, low - 5], [left, low], [left + scale * unit, low], [left + scale * unit, low - 5]], "soft", 1.4);
    word(`${unit} mV`, left + scale * unit + 10, low - 3, "soft", "left");
  }

  // Near parts are thick and dark: the only hint of depth that a flat drawing needs.
  function near(loop) {
    const points = loop.map(project);
    for (let t = 1; t < points.length; t++) {
      const depth = (points[t][2] + points[t - 1][2]) / 2 / reach;
      line([points[t - 1], points[t]], "accent", 2.2 + 1.2 * depth);
    }
    return points;
  }

  function between(points, place) {
    const low = Math.min(Math.floor(place), points.length - 1), high = Math.min(low + 1, points.length - 1);
    const share = place - low;
    return [0, 1].map((side) => points[low][side] * (1 - share) + points[high][side] * share);
  }

  function draw() {
    pen.clearRect(0, 0, width, height);
    pen.font = "14px system-ui, sans-serif";
    pen.textBaseline = "middle";
    pen.lineCap = "round";
    fit();
    axes();
    others.forEach((loop, chunk) => {
      if (chunk !== data.chunk[beat]) line(loop.map(project), "quiet", 1, 0.35);
    });
    line(truth.map(project), "ink", 1.4, 1, [6, 5]);
    const seen = near(curve);
    const step = DOT_MS / 1000 / data.seconds[beat] * samples * fine, peak = data.peak * fine;
    for (let place = peak % step; place < seen.length - 1; place += step) dot(between(seen, place), 2.6, "accent");
    const [x, y] = between(seen, peak), out = Math.hypot(x - width / 2, y - bottom / 2) || 1;
    dot([x, y], 5, "fault");
    word("R", x + 16 * (x - width / 2) / out, y + 16 * (y - bottom / 2) / out, "fault");
  }

  function resize() {
    const box = canvas.getBoundingClientRect(), ratio = window.devicePixelRatio || 1;
    [width, height, bottom] = [box.width, box.height, box.height - STRIP];
    [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    style = getComputedStyle(document.documentElement);
    draw();
  }

  const said = document.getElementById("loop-view-said"), buttons = document.querySelectorAll("[data-view]");
  const turn = document.querySelector("[data-turn]");
  function tell() {
    buttons.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.view === view)));
    said.textContent = view ? VIEWS[view][2] : "";
  }

  function rotate(right, down) {
    yaw = (yaw - right) % 360;
    pitch = Math.max(-90, Math.min(90, pitch + down));
    if (view) { view = ""; tell(); }
    draw();
  }

  function play(on) {
    turn.setAttribute("aria-pressed", String(on));
    cancelAnimationFrame(turning);
    last = performance.now();
    turning = on ? requestAnimationFrame(frame) : 0;
  }

  function frame(now) {
    rotate(-TURN * (now - last) / 1000, 0);
    last = now;
    turning = requestAnimationFrame(frame);
  }

  const slider = document.getElementById("loop-beat"), sliderSaid = document.getElementById("loop-beat-said");
  function pick() {
    beat = Number(slider.value) - 1;
    curve = smooth(data.loops[data.chunk[beat]], fine);
    truth = data.true ? smooth(data.true[beat], fine) : [];
    sliderSaid.textContent = `${beat + 1} of ${data.chunk.length}, at ${data.begin[beat].toFixed(1)} s`;
  }

  let held = [0, 0];
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    held = [event.clientX, event.clientY];
    play(false);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!canvas.hasPointerCapture(event.pointerId)) return;
    rotate(DRAG * (event.clientX - held[0]), DRAG * (event.clientY - held[1]));
    held = [event.clientX, event.clientY];
  });
  const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    if (!KEYS[event.key]) return;
    event.preventDefault();
    play(false);
    rotate(...KEYS[event.key].map((way) => way * KEY_STEP));
  });
  buttons.forEach((button) => button.addEventListener("click", () => {
    play(false);
    view = button.dataset.view;
    [yaw, pitch] = VIEWS[view];
    tell();
    draw();
  }));
  turn.addEventListener("click", () => play(!turning));
  slider.addEventListener("input", () => { pick(); draw(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", resize);
  new ResizeObserver(resize).observe(canvas);
  document.querySelector(".controls").hidden = false;
  pick();
  resize();
  tell();
})();
