"use strict";
/** The player, which keeps truth, models and map at the same frame however fast each video decodes. */
const Player = (() => {
  const SPEEDS = [0.25, 0.5, 1, 2];
  const MOST_DRIFT = 1.5; // frames, before a film is resynchronised

  /** Build the player into `element` for a scene and the chosen {row, entry, index}; calls `moved(frame)` when it stops. */
  function make(element, scene, chosen, start, overlayOn, moved) {
    const { context } = scene.walk;
    const numFrames = scene.walk.x.length;
    const truth = Screens.film(`${scene.files}/truth.mp4`, 0);
    const memory = scene.hasMemory ? Screens.film(`${scene.files}/memory.mp4`, 0) : null;
    const shown = chosen.filter(({ entry }) => entry.videos[scene.key]);
    const generated = shown.map(({ entry }) => Screens.film(entry.videos[scene.key], context));
    const films = [truth, ...(memory ? [memory] : []), ...generated];
    const screens = [
      Screens.screen("Truth", { given: truth }, context, null),
      ...shown.map(({ row, index }, number) => Screens.screen(row.name, { given: truth, generated: generated[number] }, context, Palette.number(index))),
    ];
    const map = WalkMap.make(scene);
    let frame = Math.min(Math.max(0, start), numFrames - 1);
    let isPlaying = false;
    let speed = 1;
    let isOverlayOn = overlayOn && memory !== null;
    let isGone = false;

    const controls = makeControls();
    element.replaceChildren(
      Dom.el("div", { class: "screens" }, screens.map((screen) => screen.element),
        Dom.el("figure", { class: "screen" }, map.element, Dom.el("figcaption", {}, Dom.el("span", {}, "Map"), legend()))),
      controls.element);
    for (const { video } of films) for (const event of ["seeked", "loadeddata"]) video.addEventListener(event, draw);
    seek(frame);

    function legend() {
      return Dom.el("small", { class: "legend" }, Dom.el("i", { class: "of-context" }), "context ", Dom.el("i", { class: "of-horizon" }), "horizon ", Dom.el("i", { class: "of-return" }), "return");
    }

    function makeControls() {
      const button = (label, title, act) => Dom.el("button", { type: "button", class: "quiet", "aria-label": title, title, onclick: act }, label);
      const play = button("Play", "Play or pause (space)", toggle);
      const scrub = Dom.el("input", { type: "range", min: 0, max: numFrames - 1, step: 1, value: frame, "aria-label": "Frame", oninput: (event) => rest(Number(event.target.value)) });
      const status = Dom.el("output", { class: "frame-number" });
      const overlay = memory
        ? Dom.el("label", { class: "check" }, Dom.el("input", { type: "checkbox", checked: isOverlayOn, id: "overlay", onchange: (event) => setOverlay(event.target.checked) }), "Mark returned pixels")
        : null;
      const speeds = Dom.select("Speed", SPEEDS.map((value) => ({ value, label: `${value}\u00d7` })), "1", (value) => setSpeed(Number(value)));
      const hasReturns = scene.walk.returns.length > 0;
      const bar = Dom.el("div", { class: "player-bar" },
        Dom.el("div", { class: "scrub" }, marks(), scrub),
        Dom.el("div", { class: "toolbar" }, play, button("‹", "One frame back (left arrow)", () => rest(frame - 1)), button("›", "One frame forward (right arrow)", () => rest(frame + 1)),
          hasReturns ? button("Previous return", "Jump to the previous return (P)", () => jump(-1)) : null,
          hasReturns ? button("Next return", "Jump to the next return (N)", () => jump(1)) : null,
          speeds, overlay, status));
      return { element: bar, play, scrub, status, speeds, overlay };
    }

    /** Marks above the slider: the context, the horizon and the returns. */
    function marks() {
      const x = (at) => ((at / (numFrames - 1)) * 1000).toFixed(1);
      const parts = [Dom.svg("rect", { class: "of-horizon", x: 0, y: 4, width: 1000, height: 4 }), Dom.svg("rect", { class: "of-context", x: 0, y: 4, width: x(context), height: 4 })];
      scene.walk.is_back.forEach((isBack, at) => {
        if (isBack) parts.push(Dom.svg("rect", { class: "of-return", x: x(at - 0.5), y: 1, width: (1000 / (numFrames - 1) + 0.5).toFixed(1), height: 10 }));
      });
      return Dom.svg("svg", { viewBox: "0 0 1000 12", preserveAspectRatio: "none", class: "marks", "aria-hidden": "true" }, ...parts);
    }

    function draw() {
      if (isGone) return;
      for (const screen of screens) screen.draw(frame, isOverlayOn ? memory : null);
      map.show(frame);
      controls.scrub.value = frame;
      controls.scrub.setAttribute("aria-valuetext", `frame ${frame}`);
      const part = frame < context ? "given" : `generated ${frame - context + 1}`;
      controls.status.textContent = `frame ${frame} of ${numFrames - 1}, ${part}`;
    }

    function seek(to) {
      frame = Math.min(Math.max(0, to), numFrames - 1);
      for (const film of films) film.video.currentTime = Math.max(0, Screens.timeOf(film, Math.max(frame, film.first)));
      draw();
    }

    /** Pause at a frame. */
    function rest(to) {
      pause();
      seek(to);
      moved(frame);
    }

    function pause() {
      isPlaying = false;
      controls.play.textContent = "Play";
      for (const { video } of films) video.pause();
    }

    function toggle() {
      if (isPlaying) {
        pause();
        moved(frame);
        return;
      }
      if (frame >= numFrames - 1) seek(0);
      isPlaying = true;
      controls.play.textContent = "Pause";
      setSpeed(speed);
      requestAnimationFrame(tick);
    }

    /** Follow the true video: start every other film at its first frame, and resynchronise it if it drifts. */
    function tick() {
      if (!isPlaying || isGone) return;
      if (truth.video.paused && !truth.video.ended) truth.video.play().catch(() => {});
      frame = Math.min(Screens.frameOf(truth), numFrames - 1);
      for (const film of films) {
        if (film === truth) continue;
        const isDue = frame >= film.first;
        if (isDue && film.video.paused && !film.video.ended) film.video.play().catch(() => {});
        if (isDue && Math.abs(Screens.frameOf(film) - frame) > MOST_DRIFT && !film.video.seeking) film.video.currentTime = Screens.timeOf(film, frame);
      }
      draw();
      if (truth.video.ended || frame >= numFrames - 1) rest(numFrames - 1);
      else requestAnimationFrame(tick);
    }

    function setSpeed(to) {
      speed = to;
      for (const { video } of films) video.playbackRate = to;
    }

    function setOverlay(isOn) {
      isOverlayOn = isOn && memory !== null;
      if (controls.overlay) controls.overlay.firstElementChild.checked = isOverlayOn;
      draw();
      moved(frame, isOverlayOn);
    }

    function jump(direction) {
      const { returns } = scene.walk;
      const target = direction > 0 ? returns.find((at) => at > frame) : returns.findLast((at) => at < frame);
      rest(target ?? (direction > 0 ? returns[0] : returns.at(-1)));
    }

    function press(event) {
      const isTyping = event.target.closest("select, input, textarea, [contenteditable]");
      const isSlider = event.target === controls.scrub;
      if ((isTyping && !isSlider && event.target.type !== "checkbox") || event.ctrlKey || event.metaKey || event.altKey) return;
      const acts = { " ": toggle, ArrowLeft: () => rest(frame - 1), ArrowRight: () => rest(frame + 1), n: () => jump(1), p: () => jump(-1), o: () => setOverlay(!isOverlayOn) };
      const act = acts[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!act || (event.key === " " && event.target.closest("button, a, summary, input[type=checkbox]"))) return;
      event.preventDefault();
      act();
    }

    document.addEventListener("keydown", press);

    /** Stop and release all resources. */
    function remove() {
      isGone = true;
      pause();
      document.removeEventListener("keydown", press);
      for (const { video } of films) video.removeAttribute("src");
    }

    return { remove, frame: () => frame, isOverlayOn: () => isOverlayOn };
  }

  return { make };
})();
