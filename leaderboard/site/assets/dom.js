"use strict";
/** Build elements from plain values. Text stays text: nothing here parses markup. */
const Dom = (() => {
  const SVG = "http://www.w3.org/2000/svg";

  function fill(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return element;
  }

  /** An HTML element; attributes that begin with "on" are listeners. */
  function el(tag, attributes = {}, ...children) {
    return fill(document.createElement(tag), attributes, children);
  }

  /** An SVG element. */
  function svg(tag, attributes = {}, ...children) {
    return fill(document.createElementNS(SVG, tag), attributes, children);
  }

  /** A group of radio buttons for `options` of {value, label, note}; calls `change(value)`. */
  function segments(name, legend, options, chosen, change) {
    const labels = options.map(({ value, label, note }) =>
      el("label", {}, el("input", { type: "radio", name, value, checked: value === chosen, onchange: () => change(value) }),
        label, note ? el("small", {}, note) : null));
    return el("fieldset", { class: "segments", "aria-label": legend }, labels);
  }

  /** A drop-down list of {value, label}; calls `change(value)`. */
  function select(label, options, chosen, change) {
    const list = el("select", { "aria-label": label, onchange: (event) => change(event.target.value) },
      options.map((option) => el("option", { value: option.value }, option.label)));
    list.value = chosen;
    return list;
  }

  return { el, svg, segments, select };
})();
