"use strict";
// The dots of a map show their items: under the pointer, under a finger, or by the arrow keys.
{
  const box = document.currentScript.parentElement;
  const { tile, columns, items, places } = JSON.parse(box.querySelector("[type='application/json']").textContent);
  box.querySelector("p").hidden = false; // without this script dots do not answer, and nothing is promised
  const tip = box.querySelector(".tip");
  const picture = tip.querySelector("img");
  const [label, words, name] = ["b", "p", "small"].map((tag) => tip.querySelector(tag));
  const REACH = 16; // pixels
  let chosen = -1;

  const maps = [...box.querySelectorAll("figure > div")].map((frame, number) => {
    const ring = frame.appendChild(document.createElement("span"));
    ring.className = "ring";
    ring.hidden = true;
    return { frame, ring, svg: frame.querySelector("svg"), places: places[number] };
  });

  // Where a dot of a map is in the window, in pixels.
  function spot(map, number) {
    const area = map.svg.getBoundingClientRect();
    const [x, y] = map.places[number];
    return [area.left + x * area.width, area.top + y * area.height];
  }

  function hide() {
    chosen = -1;
    tip.hidden = true;
    for (const map of maps) map.ring.hidden = true;
  }

  function show(map, number) {
    chosen = number;
    const [tag, item, text, pictured] = items[number];
    label.textContent = tag;
    words.textContent = text;
    name.textContent = item;
    if (picture) {
      picture.hidden = !pictured;
      picture.alt = item;
      picture.style.objectPosition = `-${(number % columns) * tile}px -${Math.floor(number / columns) * tile}px`;
    }
    for (const each of maps) {
      const [x, y] = spot(each, number);
      const frame = each.frame.getBoundingClientRect();
      each.ring.style.left = `${x - frame.left + each.frame.scrollLeft}px`;
      each.ring.style.top = `${y - frame.top}px`;
      each.ring.hidden = false;
    }
    tip.hidden = false;
    const [x, y] = spot(map, number);
    const around = box.getBoundingClientRect();
    const left = Math.min(x - around.left + 14, around.width - tip.offsetWidth);
    const above = y - around.top - tip.offsetHeight - 14;
    tip.style.left = `${Math.max(0, left)}px`;
    tip.style.top = `${above < 0 ? y - around.top + 14 : above}px`;
  }

  // The dot of least cost; cost is given the way to it, and is infinite for one that does not count.
  function best(map, x, y, cost) {
    let found = -1;
    let least = Infinity;
    for (let number = 0; number < items.length; number++) {
      const [left, top] = spot(map, number);
      const price = cost(left - x, top - y, number);
      if (price < least) [found, least] = [number, price];
    }
    return found;
  }

  const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  for (const map of maps) {
    const point = (event) => {
      const near = best(map, event.clientX, event.clientY, (dx, dy) => {
        const way = Math.hypot(dx, dy);
        return way <= REACH ? way : Infinity;
      });
      if (near < 0) hide();
      else if (near !== chosen || event.type === "pointerdown") show(map, near);
    };
    map.frame.addEventListener("pointermove", point);
    map.frame.addEventListener("pointerdown", point);
    map.frame.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse") hide();
    });
    map.frame.tabIndex = 0;
    map.frame.setAttribute("role", "application");
    map.frame.setAttribute("aria-label", "Map: arrow keys go from item to item");
    map.frame.addEventListener("blur", hide);
    map.frame.addEventListener("keydown", (event) => {
      if (event.key === "Escape") hide();
      const way = ways[event.key];
      if (!way) return;
      event.preventDefault();
      const area = map.svg.getBoundingClientRect();
      const [x, y] = chosen < 0 ? [area.left + area.width / 2, area.top + area.height / 2] : spot(map, chosen);
      const next = best(map, x, y, (dx, dy, number) => {
        if (chosen < 0) return Math.hypot(dx, dy);
        const ahead = dx * way[0] + dy * way[1];
        const beside = Math.abs(dx * way[1] + dy * way[0]);
        return number !== chosen && ahead > 0 && beside <= 2 * ahead ? ahead + 2 * beside : Infinity;
      });
      if (next >= 0) show(map, next);
    });
  }
}
