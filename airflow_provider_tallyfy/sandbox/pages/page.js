"use strict";
// Fetches the changing part of this page repeatedly. Without this script the page works, but does not update itself.
(() => {
  const news = document.getElementById("news");
  const pause = document.getElementById("pause");
  let paused = false;

  const marks = () => {
    const found = new Map();
    for (const row of document.querySelectorAll("[data-run]")) found.set(row.dataset.run, row.dataset.mark);
    return found;
  };

  const swap = (text) => {
    const before = marks();
    const focus = document.activeElement ? document.activeElement.id : "";
    const box = document.createElement("template");
    box.innerHTML = text;
    document.getElementById("live").replaceWith(box.content);
    for (const row of document.querySelectorAll("[data-run]")) {
      if (before.size && before.get(row.dataset.run) !== row.dataset.mark) row.classList.add("changed");
    }
    const again = focus && document.getElementById(focus);
    if (again && again !== document.activeElement) again.focus({ preventScroll: true });
  };

  // Do not replace the page while somebody selects text to copy.
  const marking = () => {
    const selection = document.getSelection();
    return selection && !selection.isCollapsed && document.getElementById("live").contains(selection.anchorNode);
  };

  const say = (text) => {
    if (news.textContent !== text) news.textContent = text;
  };

  const look = async () => {
    const began = performance.now();
    let wait = 1000;
    if (!paused && !document.hidden && !marking()) {
      try {
        const address = new URL(location.href);
        address.searchParams.set("live", document.getElementById("live").dataset.mark);
        const answer = await fetch(address, { headers: { Accept: "text/html" }, cache: "no-store" });
        if (answer.status !== 204) swap(await answer.text());
        say("Live.");
        // Rendering a big organization takes longer, so ask for it less often.
        wait = Math.max(wait, 20 * (performance.now() - began));
      } catch {
        say("The sandbox no longer answers. This is its last state.");
        wait = 3000;
      }
    }
    setTimeout(look, wait);
  };

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    say(paused ? "Paused." : "Live.");
  });
  say("Live.");
  setTimeout(look, 1000);
})();
