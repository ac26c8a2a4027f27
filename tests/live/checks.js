// What tests/live/checks.py has the browser look at: an object of functions, evaluated in the page.
({
  // Texts whose contrast is below *least*, or below *leastLarge* if they are large.
  lowContrast([least, leastLarge]) {
    // A canvas knows each way of writing a colour. Layers behind a text are put on each other from the page upwards.
    const canvas = Object.assign(document.createElement("canvas"), { width: 1, height: 1 });
    const pen = canvas.getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
      pen.clearRect(0, 0, 1, 1);
      pen.fillStyle = colour;
      pen.fillRect(0, 0, 1, 1);
      const [r, g, b, a] = pen.getImageData(0, 0, 1, 1).data;
      return [r, g, b, a / 255];
    };
    const over = ([r, g, b, a], below) => [r, g, b].map((one, at) => one * a + below[at] * (1 - a));
    const linear = (one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4);
    const light = (colour) => {
      const [r, g, b] = colour.map((one) => linear(one / 255));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (element) => {
      const layers = [];
      for (let one = element; one; one = one.parentElement) layers.push(rgba(getComputedStyle(one).backgroundColor));
      return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
    };
    const found = new Set();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    let looked = 0;
    while (texts.nextNode()) {
      const text = texts.currentNode.data.trim(), element = texts.currentNode.parentElement;
      const seen = element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
      if (!text || !seen || element.closest(".hidden-text, script, style")) continue;
      const style = getComputedStyle(element), ground = behind(element), ink = over(rgba(style.color), ground);
      const [most, few] = [light(ink), light(ground)].sort((one, other) => other - one);
      const ratio = (most + 0.05) / (few + 0.05), size = parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      looked += 1;
      if (ratio < (large ? leastLarge : least)) found.add(`${element.className}: ${ratio.toFixed(2)} (${text.slice(0, 30)})`);
    }
    return looked ? [...found] : ["no text was looked at"];
  },

  // Controls that are smaller than *finger* pixels. (The link that skips to the content comes with the Tab key only.)
  tooSmall(finger) {
    return [...document.querySelectorAll("button, a[href], input")]
      .filter((one) => one.checkVisibility() && !one.matches(".skip"))
      .map((one) => [one, one.getBoundingClientRect()])
      .filter(([, box]) => box.width + 0.5 < finger || box.height + 0.5 < finger)
      .map(([one, box]) => `${one.className} ${box.width}x${box.height}: ${one.textContent.slice(0, 20)}`);
  },

  // What is wider than the window.
  sideways() {
    const width = document.documentElement.clientWidth;
    const found = [...document.querySelectorAll("body *")]
      .filter((one) => one.checkVisibility() && !one.closest(".hidden-text, .key, .skip, nav"))
      .filter((one) => one.getBoundingClientRect().right > width + 1)
      .map((one) => `${one.className || one.tagName} to ${one.getBoundingClientRect().right} of ${width}`);
    const all = document.documentElement.scrollWidth;
    return all > width ? [...found, `the page is ${all} wide`] : found;
  },

  // Where the focus is now, and how it stands to where it was the last time.
  focused() {
    const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
    const last = window.lastFocused;
    window.lastFocused = one;
    return {
      label: one.getAttribute("aria-label") || one.textContent.trim().slice(0, 40) || one.tagName,
      seen: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
      forth: !last || Boolean(last.compareDocumentPosition(one) & Node.DOCUMENT_POSITION_FOLLOWING),
      onScreen: box.bottom > 0 && box.top < innerHeight,
      outside: one === document.body,
    };
  },

  fromTheTop() {
    document.activeElement.blur();
    scrollTo(0, 0);
    window.lastFocused = null;
  },
})
