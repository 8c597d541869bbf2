(() => {
  "use strict";
  const root = document.documentElement, read = (id) => JSON.parse(document.getElementById(id).textContent);
  const dark = () => root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const style = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const figures = [...document.querySelectorAll(".figure")];
  // Plotly travels as text and becomes a program when the first figure comes near: the answer need not wait for it.
  const plotly = () => {
    if (window.Plotly) return;
    const program = document.createElement("script");
    program.textContent = document.getElementById("plotly").textContent;
    document.head.append(program);
  };
  const draw = (box) => {
    plotly();
    const figure = read("j" + box.id.slice(1)), phone = box.clientWidth < 520;
    figure.layout.font.color = style("--ink");
    if (phone) { figure.layout.font.size = 11; figure.layout.margin.l = 46; figure.layout.margin.r = 8; }
    figure.layout.hoverlabel = {bgcolor: style("--card"), bordercolor: style("--edge"), font: {color: style("--ink")}, align: "left"};
    for (const axis in figure.layout) if (/^[xy]axis\d*$/.test(axis)) Object.assign(figure.layout[axis], {gridcolor: style("--line"), linecolor: style("--line"), zerolinecolor: style("--line"), automargin: true});
    Plotly.react(box, figure.data, figure.layout, {responsive: true, displaylogo: false, displayModeBar: false, scrollZoom: false});
    box.dataset.drawn = "yes";
  };
  // A figure is drawn when it comes near the screen; printing draws them all.
  const near = new IntersectionObserver((seen) => seen.forEach((e) => { if (e.isIntersecting) { near.unobserve(e.target); draw(e.target); } }), {rootMargin: "600px"});
  addEventListener("beforeprint", () => { figures.filter((b) => !b.dataset.drawn).forEach(draw); document.querySelectorAll("details").forEach((d) => { d.open = true; }); });
  document.getElementById("theme").addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; figures.filter((b) => b.dataset.drawn).forEach(draw); });
  // Files that travel packed inside the page.
  document.querySelectorAll(".download").forEach((button) => button.addEventListener("click", async () => {
    const raw = atob(button.dataset.packed), packed = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) packed[i] = raw.charCodeAt(i);
    const text = await new Response(new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"))).blob();
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], {type: "text/csv"})); link.download = button.dataset.name; link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }));
  document.querySelectorAll(".explorer").forEach((box) => explorer(box, read(box.dataset.json), read("palette")));
  window.drawFigures = () => {
    if (location.hash === "#print") dispatchEvent(new Event("beforeprint")); else figures.forEach((box) => near.observe(box));
    root.dataset.ready = performance.now().toFixed(0);
  };
  root.dataset.explored = performance.now().toFixed(0);
})();
