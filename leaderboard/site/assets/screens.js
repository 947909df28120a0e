"use strict";
/** The screens of the player: one canvas a video, all drawn in the same moment from videos that nobody sees. */
const Screens = (() => {
  const RATE = 20; // frames a second

  /** A film is a hidden video whose first frame is frame `first` of the episode. */
  function film(address, first) {
    const video = Dom.el("video", { src: address, preload: "auto", playsinline: true });
    video.muted = true;
    return { video, first };
  }

  /** Where in a film a frame of the episode lies, in seconds: the middle of it, so that no rounding misses it. */
  function timeOf({ first }, frame) {
    return (frame - first + 0.5) / RATE;
  }

  /** The frame of the episode that a film shows. */
  function frameOf({ video, first }) {
    return first + Math.floor(video.currentTime * RATE + 1e-6);
  }

  /** A screen with its caption; `films` by what they show: "given" during the context, "made" after it. */
  function screen(label, films, context, seriesNumber) {
    const canvas = Dom.el("canvas", { width: 64, height: 64, role: "img", "aria-label": label });
    const state = Dom.el("small", {}, "");
    const element = Dom.el("figure", { class: seriesNumber ? `screen series-${seriesNumber}` : "screen" }, canvas,
      Dom.el("figcaption", {}, Dom.el("span", {}, label), state));
    const pen = canvas.getContext("2d");

    function draw(frame, overlay) {
      const isGiven = frame < context;
      const { video } = isGiven || !films.made ? films.given : films.made;
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
      state.textContent = films.made ? (isGiven ? "given" : "generated") : "";
      element.classList.toggle("given", Boolean(films.made) && isGiven);
    }

    return { element, draw };
  }

  return { RATE, film, timeOf, frameOf, screen };
})();
