"use strict";
/** The player's screens: one canvas per video, all drawn at the same moment from hidden videos. */
const Screens = (() => {
  const RATE = 20; // frames per second

  /** A hidden video whose first frame is frame `first` of the episode. */
  function film(address, first) {
    const video = Dom.el("video", { src: address, preload: "auto", playsinline: true });
    video.muted = true;
    return { video, first };
  }

  /** The time in seconds of an episode's frame in a film; its middle, so that rounding cannot miss it. */
  function timeOf({ first }, frame) {
    return (frame - first + 0.5) / RATE;
  }

  /** The episode's frame that a film currently shows. */
  function frameOf({ video, first }) {
    return first + Math.floor(video.currentTime * RATE + 1e-6);
  }

  /** A screen with its caption; it shows `films.given` during the context and `films.generated` after it. */
  function screen(label, films, context, seriesNumber) {
    const canvas = Dom.el("canvas", { width: 64, height: 64, role: "img", "aria-label": label });
    const state = Dom.el("small", {}, "");
    const element = Dom.el("figure", { class: seriesNumber ? `screen series-${seriesNumber}` : "screen" }, canvas,
      Dom.el("figcaption", {}, Dom.el("span", {}, label), state));
    const pen = canvas.getContext("2d");

    function draw(frame, overlay) {
      const isGiven = frame < context;
      const { video } = isGiven || !films.generated ? films.given : films.generated;
      if (video.readyState < HTMLMediaElement.HAVE_CURRENT_DATA) return;
      if (canvas.width !== video.videoWidth) [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
      pen.globalCompositeOperation = "source-over";
      pen.globalAlpha = 1;
      pen.drawImage(video, 0, 0);
      if (overlay && overlay.video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA) {
        pen.globalCompositeOperation = "screen";
        pen.globalAlpha = 0.42;
        pen.drawImage(overlay.video, 0, 0, canvas.width, canvas.height);
      }
      state.textContent = films.generated ? (isGiven ? "given" : "generated") : "";
      element.classList.toggle("given", Boolean(films.generated) && isGiven);
    }

    return { element, draw };
  }

  return { RATE, film, timeOf, frameOf, screen };
})();
