// Parts with `data-live="SECONDS"` are fetched anew, while the page is seen and nobody is at work in them.
"use strict";

for (const part of document.querySelectorAll("[data-live]")) {
  const again = async () => {
    if (document.hidden || document.getElementById(part.id).contains(document.activeElement)) return;
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } }).catch(() => null);
    if (!answer || !answer.ok) return;
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById(part.id);
    const shown = document.getElementById(part.id);
    if (fresh && !shown.contains(document.activeElement) && fresh.innerHTML !== shown.innerHTML) shown.replaceWith(fresh);
  };
  setInterval(again, part.dataset.live * 1000);
}
