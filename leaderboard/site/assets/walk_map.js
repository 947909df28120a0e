"use strict";
/** A map of the walk, north up, with the agent's position and heading. */
const WalkMap = (() => {
  const MARGIN = 2;

  /** Build the map of a scene; returns {element, show(frame)}. */
  function make(scene) {
    const { walk } = scene;
    const box = walk.map ?? bounds(walk);
    const scale = 100 / box.side;
    const at = (frame) => [(walk.x[frame] - box.left) * scale, (walk.z[frame] - box.top) * scale];
    const last = walk.x.length - 1;
    const arrow = Dom.svg("path", { class: "agent", d: "M0 -4.6 L3.2 3.8 L0 2.2 L-3.2 3.8 Z" });
    const picture = scene.hasMap ? Dom.svg("image", { href: `${scene.files}/map.webp`, width: 100, height: 100, preserveAspectRatio: "none" }) : null;
    const element = Dom.svg("svg", { viewBox: "0 0 100 100", class: "walk-map", role: "img", "aria-label": "Map of the walk, north up" },
      picture,
      line("edge", 0, last, at), line("horizon-line", walk.context - 1, last, at), line("context-line", 0, walk.context - 1, at),
      returns(walk, at), arrow);

    function show(frame) {
      const [x, y] = at(frame);
      arrow.setAttribute("transform", `translate(${x.toFixed(2)} ${y.toFixed(2)}) rotate(${(walk.yaw_deg[frame] + 180).toFixed(1)})`);
      arrow.setAttribute("data-frame", frame);
    }

    show(0);
    return { element, show };
  }

  function bounds(walk) {
    const [left, right] = [Math.min(...walk.x), Math.max(...walk.x)];
    const [top, bottom] = [Math.min(...walk.z), Math.max(...walk.z)];
    const side = Math.max(right - left, bottom - top) + 2 * MARGIN;
    return { left: (left + right - side) / 2, top: (top + bottom - side) / 2, side };
  }

  function line(kind, first, last, at) {
    const points = [];
    for (let frame = Math.max(0, first); frame <= last; frame++) points.push(at(frame).map((part) => part.toFixed(2)).join(","));
    return Dom.svg("polyline", { class: kind, points: points.join(" ") });
  }

  function returns(walk, at) {
    return walk.is_back.flatMap((isBack, frame) => {
      if (!isBack) return [];
      const [x, y] = at(frame);
      return [Dom.svg("circle", { class: "back", cx: x.toFixed(2), cy: y.toFixed(2), r: 0.9 })];
    });
  }

  return { make };
})();
