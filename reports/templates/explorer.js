/* The explorer: a fabric drawn one level at a time, by tiers. Every text from the data is set as text, never as markup. */
function explorer(root, data, palette) {
  "use strict";
  const SVG = "http://www.w3.org/2000/svg";
  const bytes = (text) => { const raw = atob(text), n = raw.length, out = new Uint8Array(n); for (let i = 0; i < n; i++) out[i] = raw.charCodeAt(i); return out; };
  const as = (kind, text) => new kind(bytes(text).buffer);
  const H = data.hosts.length, S = data.switches.length;
  const start = as(Int32Array, data.hostStart), pod = as(Int32Array, data.hostPod), group = as(Int32Array, data.hostGroup);
  const domain = as(Int32Array, data.hostDomain), hostPart = as(Int16Array, data.hostPart);
  const tier = as(Uint8Array, data.switchTier), switchPart = as(Int16Array, data.switchPart);
  const A = as(Int32Array, data.cableA), B = as(Int32Array, data.cableB), port = as(Int8Array, data.cablePort);
  const rate = as(Uint8Array, data.cableRate), gpuPort = as(Int8Array, data.gpuPort);
  const C = A.length, G = start[H], state = data.state ? as(Uint8Array, data.state) : new Uint8Array(G);
  const views = data.views.map((v) => ({
    solver: v.solver, slow: v.slow, job: as(v.wide ? Int32Array : Uint16Array, v.job), demand: as(Uint16Array, v.demand),
    up: as(Uint16Array, v.up), jobs: new Map(v.cableJobs.map(([c, n, list]) => [c, {n, list}])),
  }));
  if (!views.length) views.push({solver: "", slow: [], job: new Uint16Array(G), demand: new Uint16Array(C), up: new Uint16Array(G), jobs: new Map()});
  const placed = data.views.length > 0;
  const STATES = ["free", "taken before", "drained", "broken", "reserved"];
  const TIERS = ["hosts", "leaf", "spine", "core"];
  const STEPS = ["up to 25 %", "up to 50 %", "up to 80 %", "up to 100 %", "above 100 %, fought over"];
  const heat = (d) => d <= 250 ? 0 : d <= 500 ? 1 : d <= 800 ? 2 : d <= 1000 ? 3 : 4;
  const count = (n, one, many) => n.toLocaleString("en") + " " + (n === 1 ? one : many || one + "s");
  const percent = (d) => d >= 65535 ? "above 6,553 %" : (d / 10).toLocaleString("en", {maximumFractionDigits: 1}) + " %";
  const short = (text, n) => text.length > n ? text.slice(0, n - 1) + "…" : text;
  const jobName = (j) => data.jobs[j - 1] ? data.jobs[j - 1][0] : "";

  // Hosts in the order of pods, leaf groups and domains: every place is a range of this order.
  const order = Int32Array.from({length: H}, (_, i) => i).sort((a, b) => pod[a] - pod[b] || group[a] - group[b] || domain[a] - domain[b] || a - b);
  const rank = new Int32Array(H); order.forEach((h, i) => { rank[h] = i; });
  const heightOf = new Uint8Array(H + S); heightOf.set(tier, H);
  // Cables of each unit, hosts first, then switches: what a drawing touches is found from its hosts upwards.
  const touchStart = new Int32Array(H + S + 1), touch = new Int32Array(2 * C);
  for (let c = 0; c < C; c++) { touchStart[A[c] + 1]++; touchStart[B[c] + 1]++; }
  for (let u = 0; u < H + S; u++) touchStart[u + 1] += touchStart[u];
  { const fill = touchStart.slice(); for (let c = 0; c < C; c++) { touch[fill[A[c]]++] = c; touch[fill[B[c]]++] = c; } }
  const cablesOf = (unit) => touch.subarray(touchStart[unit], touchStart[unit + 1]);
  const far = (c, unit) => A[c] === unit ? B[c] : A[c];
  let hostToHost = false; for (let c = 0; c < C && !hostToHost; c++) hostToHost = A[c] < H && B[c] < H;
  const tiersUp = [...new Set(tier)].sort((a, b) => a - b);

  let view = views[0], path = [], broken = null, jobFilter = 0, heatFilter = 0;
  const whole = {lo: 0, hi: H, kind: "fabric", name: data.name};
  path = [whole];
  const at = () => path[path.length - 1];

  const runs = (lo, hi, key) => { const out = []; for (let i = lo; i < hi; i++) { const k = key[order[i]]; if (!out.length || out[out.length - 1].key !== k) out.push({key: k, lo: i, hi: i + 1}); else out[out.length - 1].hi = i + 1; } return out; };
  const LEVELS = [["pod", pod, "pod"], ["group", group, "leaf group"]];
  function children(place, most) {
    if (place.kind === "host") return [];
    let parts = null, kind = "host", word = "host";
    for (const [name, key, label] of LEVELS) {
      if (["group", "bunch-host"].includes(place.kind) || (place.kind === "pod" && name === "pod")) continue;
      const found = runs(place.lo, place.hi, key);
      if (found.length > 1) { parts = found; kind = name; word = label; break; }
    }
    if (!parts) parts = Array.from({length: place.hi - place.lo}, (_, i) => ({key: order[place.lo + i], lo: place.lo + i, hi: place.lo + i + 1}));
    const name = (p) => kind === "host" ? data.hosts[order[p.lo]] : word + " " + p.key;
    if (parts.length <= most) return parts.map((p) => ({lo: p.lo, hi: p.hi, kind, name: name(p)}));
    const each = Math.ceil(parts.length / most), out = [];
    for (let i = 0; i < parts.length; i += each) {
      const some = parts.slice(i, i + each), last = some[some.length - 1];
      if (some.length === 1) { out.push({lo: some[0].lo, hi: some[0].hi, kind, name: name(some[0])}); continue; }
      out.push({lo: some[0].lo, hi: last.hi, kind: "bunch-" + kind, name: kind === "host" ? short(name(some[0]), 18) + " – " + short(name(last), 18) : word + "s " + some[0].key + "–" + last.key});
    }
    return out;
  }

  // What a place holds: accelerators by job, free and unavailable.
  const held = new Map();
  function holding(lo, hi) {
    const key = views.indexOf(view) + ":" + lo + "-" + hi;
    if (!held.has(key)) { if (held.size > 5000) held.clear(); held.set(key, counted(lo, hi)); }
    return held.get(key);
  }
  function counted(lo, hi) {
    const jobs = new Map(); let free = 0, away = 0, all = 0; const states = [0, 0, 0, 0, 0]; let last = 0, run = 0;
    for (let i = lo; i < hi; i++) for (let g = start[order[i]]; g < start[order[i] + 1]; g++) {
      all++; const j = view.job[g];
      if (j) { if (j === last) run++; else { if (run) jobs.set(last, (jobs.get(last) || 0) + run); last = j; run = 1; } } else if (state[g]) { away++; states[state[g]]++; } else free++;
    }
    if (run) jobs.set(last, (jobs.get(last) || 0) + run);
    return {jobs: [...jobs].sort((a, b) => b[1] - a[1] || a[0] - b[0]), free, away, all, states};
  }

  // Drawings are kept: going back, or another look at a place, costs nothing.
  const scenes = new Map();
  function scene(most) {
    const place = at(), key = [views.indexOf(view), place.kind, place.lo, place.hi, most].join(":");
    if (!scenes.has(key)) { if (scenes.size > 40) scenes.clear(); scenes.set(key, composed(place, most)); }
    return scenes.get(key);
  }
  function composed(place, most) {
    const kids = children(place, most), inside = place.kind === "host";
    const marks = [], mark = new Int32Array(H + S).fill(-1);
    if (inside) marks.push({tier: 0, kind: "host", name: place.name, lo: place.lo, hi: place.hi, units: 1});
    else kids.forEach((k) => marks.push({...k, tier: 0, units: k.hi - k.lo}));
    marks.forEach((m, i) => { for (let p = m.lo; p < m.hi; p++) mark[order[p]] = i; });
    const seen = new Uint8Array(S), serves = new Int32Array(S).fill(-1), levels = new Map(tiersUp.map((t) => [t, []]));
    const rise = (down, from) => {
      for (const c of cablesOf(down)) {
        const up = far(c, down);
        if (up < H || heightOf[up] <= heightOf[down]) continue;
        const s = up - H;
        if (!seen[s]) { seen[s] = 1; serves[s] = from; levels.get(tier[s]).push(s); } else if (serves[s] !== from) serves[s] = -2;
      }
    };
    for (let p = place.lo; p < place.hi; p++) rise(order[p], mark[order[p]]);
    for (const t of tiersUp) for (const s of levels.get(t)) rise(H + s, serves[s]);
    const byTier = new Map(tiersUp.filter((t) => levels.get(t).length).map((t) => [t, levels.get(t).sort((a, b) => a - b)]));
    const room = Math.max(8, Math.min(48, most));
    for (const [t, list] of byTier) {
      let bunches;
      if (list.length <= room) bunches = list.map((s) => [s]);
      else {
        const own = new Map(), shared = [];
        for (const s of list) if (serves[s] >= 0 && !inside) { if (!own.has(serves[s])) own.set(serves[s], []); own.get(serves[s]).push(s); } else shared.push(s);
        bunches = [...own.values()];
        const each = Math.max(1, Math.ceil(shared.length / Math.max(4, room >> 1)));
        for (let i = 0; i < shared.length; i += each) bunches.push(shared.slice(i, i + each));
      }
      for (const some of bunches) {
        const id = marks.length;
        for (const s of some) mark[H + s] = id;
        const what = TIERS[t] || "tier " + t;
        marks.push({tier: t, kind: "switch", units: some.length, list: some, serves: serves[some[0]],
          name: some.length === 1 ? data.switches[some[0]] : count(some.length, what + " switch", what + " switches")});
      }
    }
    const n = marks.length, slot = new Int32Array(n * n).fill(-1), edges = [];
    const add = (c, u) => {
      const v = far(c, u), a = mark[u], b = mark[v];
      if (b < 0 || a === b || (heightOf[v] === heightOf[u] ? v > u : heightOf[v] > heightOf[u])) return;   // once, from its upper end
      const key = a < b ? a * n + b : b * n + a, apart = inside && v < H;
      let k = apart ? -1 : slot[key];
      if (k < 0) { k = edges.length; slot[key] = k; edges.push({a, b, cables: 0, demand: 0, gbps: 0, worst: c}); }
      const e = edges[k];
      e.cables++; e.gbps += data.rates[rate[c]];
      if (view.demand[c] > e.demand) { e.demand = view.demand[c]; e.worst = c; }
    };
    for (const list of byTier.values()) for (const s of list) for (const c of cablesOf(H + s)) add(c, H + s);
    if (!byTier.size || hostToHost) for (let p = place.lo; p < place.hi; p++) for (const c of cablesOf(order[p])) if (far(c, order[p]) < H) add(c, order[p]);
    return {marks, edges, inside, place, mark};
  }

  const make = (name, attributes, text) => {
    const element = document.createElementNS(SVG, name);
    for (const key in attributes) element.setAttribute(key, attributes[key]);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const html = (name, text, cls) => { const e = document.createElement(name); if (text !== undefined) e.textContent = text; if (cls) e.className = cls; return e; };
  const stage = root.querySelector(".stage"), panel = root.querySelector(".panel"), crumbs = root.querySelector(".crumbs");
  const color = (j) => palette.jobs[(j - 1) % palette.jobs.length], ink = (j) => palette.inks[(j - 1) % palette.inks.length];
  let shown = null;

  function bars(parent, x, y, w, h, held) {
    let top = y;
    const band = (n, fill, cls) => { if (!n) return; const size = h * n / held.all; parent.append(make("rect", {x, y: top, width: w, height: Math.max(size, 0.5), ...(fill ? {fill} : {}), class: cls})); top += size; };
    held.jobs.slice(0, 12).forEach(([j, n]) => band(n, color(j), jobFilter && j !== jobFilter ? "job dim" : "job"));
    band(held.jobs.slice(12).reduce((sum, e) => sum + e[1], 0), "", "many");
    band(held.away, "url(#hatch)", "away"); band(held.free, "", "free");
  }

  function draw(focusFirst) {
    const began = performance.now();
    const width = Math.max(300, stage.clientWidth), most = Math.max(12, Math.floor(width / 17));
    shown = scene(most);
    const {marks, edges, inside, place} = shown;
    const tiers = [...new Set(marks.map((m) => m.tier))].sort((a, b) => a - b);
    const base = inside ? 196 : 132, gap = width < 520 ? 96 : 138, height = base + 34 + gap * (tiers.length - 1) + 22;
    const left = 46, room = width - left - 8;
    const svg = make("svg", {viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Drawing of " + place.name + " by tiers"});
    const defs = make("defs", {}), hatch = make("pattern", {id: "hatch", width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)"});
    hatch.append(make("rect", {width: 6, height: 6, class: "hatch-back"}), make("rect", {width: 2.2, height: 6, class: "hatch-line"}));
    defs.append(hatch); svg.append(defs);
    tiers.forEach((t, row) => {
      const list = marks.filter((m) => m.tier === t);
      if (t > 0) {   // near what it serves
        const wish = new Map(list.map((m) => [m, m.serves >= 0 && marks[m.serves] ? marks[m.serves].x : room / 2]));
        list.sort((a, b) => wish.get(a) - wish.get(b));
      }
      const step = room / list.length, y = height - base - 22 - row * gap;
      list.forEach((m, i) => { m.x = left + step * (i + 0.5); m.y = row ? y : height - base - 20; m.w = row ? Math.min(26, step * 0.8) : Math.min(inside ? room : 150, step * 0.86); });
      svg.append(make("text", {x: 0, y: row ? y + 4 : height - base / 2 - 16, class: "tier"}, t ? TIERS[t] || "tier " + t : inside ? "host" : {pod: "pods", group: "groups", host: "hosts"}[(list[0].kind || "").replace("bunch-", "")] || "hosts"));
    });
    // Inside a host: NICs and accelerators.
    let ports = [];
    if (inside) {
      const h = order[place.lo];
      ports = [...new Set(Array.from(cablesOf(h), (c) => port[c]))].sort((a, b) => a - b);
    }
    const portX = (p) => left + room * (ports.indexOf(p) + 0.5) / Math.max(1, ports.length);
    const curve = (e) => {
      const [a, b] = marks[e.a].tier <= marks[e.b].tier ? [marks[e.a], marks[e.b]] : [marks[e.b], marks[e.a]];
      const x1 = inside && a.tier === 0 ? portX(port[e.worst]) : a.x, y1 = a.tier === 0 ? a.y : a.y - 5, y2 = b.tier === a.tier ? b.y : b.y + 7;
      return [x1, y1, b.x, y2, a.tier === b.tier ? Math.min(y1, y2) - 34 : (y1 + y2) / 2];
    };
    const ends = (e) => {
      const [x1, y1, x2, y2, bend] = curve(e).map((v) => v.toFixed(1));
      return `M${x1} ${y1}C${x1} ${bend} ${x2} ${bend} ${x2} ${y2}`;
    };
    // The link under a point: curves go from x1 to x2 as 3t² − 2t³ while y runs over both ends and the bend.
    const linkAt = (x, y) => {
      let best = -1, nearest = 7;
      edges.forEach((e, k) => {
        if (e.demand < heatFilter) return;
        const [x1, y1, x2, y2, bend] = curve(e), at = (t) => { const u = 1 - t; return [x1 + (x2 - x1) * (3 * t * t - 2 * t * t * t), y1 * u * u * u + 3 * bend * u * t + y2 * t * t * t]; };
        if (Math.abs(y1 - y2) > 1) {
          if (y > Math.max(y1, y2) || y < Math.min(y1, y2)) return;
          let low = 0, high = 1;
          for (let n = 0; n < 12; n++) { const t = (low + high) / 2; if ((at(t)[1] - y) * (y2 - y1) < 0) low = t; else high = t; }
          const off = Math.abs(at(low)[0] - x);
          if (off < nearest) { nearest = off; best = k; }
        } else for (let n = 1; n < 20; n++) { const [px, py] = at(n / 20), off = Math.hypot(px - x, py - y); if (off < nearest) { nearest = off; best = k; } }
      });
      return best;
    };
    const dead = new Set(broken ? broken.units : []);
    const lines = [[], [], [], [], []];
    for (const e of edges) { const k = heat(e.demand); if (e.demand >= heatFilter) lines[k].push(ends(e)); }
    lines.forEach((some, k) => { if (some.length) svg.append(make("path", {d: some.join(""), class: "link h" + k, ...(some.length > 600 ? {style: "opacity:.35"} : {})})); });
    if (broken && broken.links.length) svg.append(make("path", {d: edges.filter((e) => broken.links.some((c) => far2(c, e))).map(ends).join(""), class: "link dead"}));
    const over = make("path", {class: "over"}); svg.append(over);
    const spot = (event) => { const box = svg.getBoundingClientRect(); return [(event.clientX - box.left) * width / box.width, (event.clientY - box.top) * height / box.height]; };
    let waiting = false;
    svg.addEventListener("mousemove", (event) => {
      if (waiting || event.target.closest(".mark")) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; const k = linkAt(...spot(event)); over.setAttribute("d", k < 0 ? "" : ends(edges[k])); svg.style.cursor = k < 0 ? "" : "pointer"; });
    });
    svg.addEventListener("click", (event) => { if (event.target.closest(".mark")) return; const k = linkAt(...spot(event)); if (k >= 0) { over.setAttribute("d", ends(edges[k])); tellLink(edges[k]); } });
    marks.forEach((m, i) => {
      const g = make("g", {tabindex: 0, role: "button", class: "mark " + m.kind + (broken && broken.marks.has(i) ? " hit" : ""), "data-mark": i});
      let label = m.name;
      if (m.tier === 0) {
        const held = holding(m.lo, m.hi);
        label += `: ${count(held.all, "accelerator")}` + (placed ? `, ${held.all - held.free - held.away} in jobs, ${held.free} free, ${held.away} not available` : "");
        if (inside) hostInside(g, m, room, left, base, ports, portX);
        else {
          g.append(make("rect", {x: m.x - m.w / 2, y: m.y, width: m.w, height: base - 16, rx: 3, class: "box"}));
          const box = make("g", {}); bars(box, m.x - m.w / 2 + 1, m.y + 1, m.w - 2, base - 18, held); g.append(box);
          g.append(make("rect", {x: m.x - m.w / 2, y: m.y, width: m.w, height: base - 16, rx: 3, class: "edge"}));
          const numbers = held.jobs.slice(0, 1)[0];
          if (numbers && m.w > 20 && placed) { const size = (base - 18) * numbers[1] / held.all; if (size > 15) g.append(make("text", {x: m.x, y: m.y + Math.min(size, base - 18) / 2 + 5, class: "number", fill: ink(numbers[0]), "text-anchor": "middle"}, String(numbers[0]))); }
          if (!placed && m.w > 24) g.append(make("text", {x: m.x, y: m.y + base / 2 - 4, class: "name", "text-anchor": "middle"}, held.all + (m.w > 60 ? " GPUs" : "")));
          if (m.w > 54) g.append(make("text", {x: m.x, y: height - 20, class: "name", "text-anchor": "middle"}, short(m.name, Math.floor(m.w / 6.4))));
        }
      } else {
        const w = m.units > 1 ? Math.max(16, m.w) : Math.max(8, Math.min(14, m.w));
        const wide = Math.min(44, room / list1(marks, m.tier));
        g.append(make("rect", {x: m.x - wide / 2, y: m.y - 20, width: wide, height: 40, class: "touch"}));
        if (m.units > 1) g.append(make("rect", {x: m.x - w / 2 + 3, y: m.y - 9, width: w, height: 12, rx: 2, class: "behind"}));
        g.append(make("rect", {x: m.x - w / 2, y: m.y - 6, width: w, height: 12, rx: 2, class: "switchbox"}));
        if (broken && dead.size && m.list.some((x) => dead.has(H + x))) g.append(make("path", {d: `M${m.x - 8} ${m.y - 8}l16 16m0-16l-16 16`, class: "cross"}));
        if (list1(marks, m.tier) <= room / 60) g.append(make("text", {x: m.x, y: m.y - 13, class: "name", "text-anchor": "middle"}, short(m.name, Math.max(10, Math.floor(room / list1(marks, m.tier) / 6.6)))));
      }
      g.setAttribute("aria-label", label);
      g.append(make("title", {}, short(label, 300)));
      g.addEventListener("click", () => choose(i, true));
      g.addEventListener("mouseenter", () => { trace(i); tell(i); });
      g.addEventListener("focus", () => { trace(i); tell(i); });
      g.addEventListener("mouseleave", () => { over.setAttribute("d", ""); });
      g.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") { event.preventDefault(); choose(i, true); }
        const same = shown.marks.map((o, k) => [o, k]).filter(([o]) => o.tier === m.tier).sort((p, q) => p[0].x - q[0].x).map(([, k]) => k);
        const to = event.key === "ArrowRight" ? same[same.indexOf(i) + 1] : event.key === "ArrowLeft" ? same[same.indexOf(i) - 1] : null;
        if (to !== null && to !== undefined) { event.preventDefault(); svg.querySelector(`[data-mark="${to}"]`).focus(); }
      });
      svg.append(g);
    });
    const trace = (i) => over.setAttribute("d", edges.filter((e) => e.a === i || e.b === i).slice(0, 400).map(ends).join(""));
    stage.replaceChildren(svg);
    if (focusFirst) { const first = svg.querySelector(".mark"); if (first) first.focus({preventScroll: true}); }
    trail();
    root.dataset.frame = (performance.now() - began).toFixed(1);
  }
  const list1 = (marks, t) => marks.filter((m) => m.tier === t).length;

  function hostInside(g, m, room, left, base, ports, portX) {
    const h = order[m.lo], n = start[h + 1] - start[h], y = m.y;
    g.append(make("rect", {x: left, y: y + 4, width: room, height: base - 14, rx: 8, class: "box"}));
    ports.forEach((p) => { g.append(make("rect", {x: portX(p) - 17, y: y - 4, width: 34, height: 18, rx: 3, class: "switchbox"})); g.append(make("text", {x: portX(p), y: y + 9, class: "nic", "text-anchor": "middle"}, "NIC " + p)); });
    const step = room / n, bus = y + base - 42;
    g.append(make("rect", {x: left + 14, y: bus, width: room - 28, height: 10, rx: 3, class: "bus"}));
    if (data.gpuUp) g.append(make("text", {x: left + room / 2, y: bus + 25, class: "name", "text-anchor": "middle"}, `scale-up: ${data.gpuUp.toLocaleString("en")} Gbit/s a GPU, one way`));
    for (let k = 0; k < n; k++) {
      const gpu = start[h] + k, x = left + step * (k + 0.5), w = Math.min(64, step * 0.8), top = y + 52, j = view.job[gpu];
      g.append(make("path", {d: `M${x} ${top + 56}V${bus}`, class: "link h" + heat(view.up[gpu]), style: "stroke-width:4"}));
      if (gpuPort[gpu] >= 0 && ports.includes(gpuPort[gpu])) g.append(make("path", {d: `M${x} ${top}L${portX(gpuPort[gpu])} ${y + 14}`, class: "link inner"}));
      g.append(make("rect", {x: x - w / 2, y: top, width: w, height: 56, rx: 4, class: "gpu" + (j ? "" : state[gpu] ? " away" : " free"), ...(j ? {fill: color(j)} : state[gpu] ? {fill: "url(#hatch)"} : {})}));
      g.append(make("text", {x, y: top + 25, "text-anchor": "middle", class: "name strong", ...(j ? {style: "fill:" + ink(j)} : {})}, w > 34 ? "GPU " + k : String(k)));
      if (w > 34) g.append(make("text", {x, y: top + 42, "text-anchor": "middle", class: "name", ...(j ? {style: "fill:" + ink(j)} : {})}, j ? "job " + j : STATES[state[gpu]]));
    }
  }

  function choose(i, zoom) {
    const m = shown.marks[i];
    if (m.tier === 0 && zoom && !shown.inside) { go([...path, {lo: m.lo, hi: m.hi, kind: m.kind, name: m.name}]); return; }
    tell(i, true);
  }
  function go(next) { path = next; broken = null; draw(true); tellPlace(); }

  function trail() {
    crumbs.replaceChildren();
    path.forEach((p, k) => {
      const li = html("li"), b = html("button", short(p.name, 40)); b.type = "button";
      if (k === path.length - 1) b.setAttribute("aria-current", "location");
      b.addEventListener("click", () => go(path.slice(0, k + 1)));
      li.append(b); crumbs.append(li);
    });
  }

  const far2 = (c, e) => { const a = shown.mark[A[c]], b = shown.mark[B[c]]; return (a === e.a && b === e.b) || (a === e.b && b === e.a); };
  // The cables behind a drawn link.
  function cablesIn(e) {
    if (shown.inside && (shown.marks[e.a].tier === 0 || shown.marks[e.b].tier === 0)) return [e.worst];
    const [low, high] = shown.marks[e.a].tier > shown.marks[e.b].tier ? [e.b, e.a] : [e.a, e.b], found = [], m = shown.marks[high];
    const units = m.tier ? m.list.map((x) => H + x) : Array.from({length: m.hi - m.lo}, (_, i) => order[m.lo + i]);
    for (const u of units) for (const c of cablesOf(u)) if (shown.mark[far(c, u)] === low) found.push(c);
    return found;
  }
  const fact = (dl, name, text) => { dl.append(html("dt", name), html("dd", text)); };
  function jobList(list, title) {
    if (!list.length) return null;
    const box = html("div"); box.append(html("h4", title));
    const ul = html("ul", undefined, "jobs");
    list.slice(0, 10).forEach(([j, n]) => {
      const li = html("li"), chip = html("span", String(j), "chip"); chip.style.background = color(j); chip.style.color = ink(j);
      const slow = view.slow[j - 1];
      li.append(chip, html("bdi", " " + short(jobName(j), 60)), html("span", (n ? `, ${n.toLocaleString("en")} here` : "") + (slow ? `, ${slow.toFixed(2)}×` : ""), "soft"));
      ul.append(li);
    });
    if (list.length > 10) ul.append(html("li", `and ${list.length - 10} more`, "soft"));
    box.append(ul); return box;
  }
  function aboutPlace(place) {
    const held = holding(place.lo, place.hi), dl = html("dl");
    fact(dl, "hosts", (place.hi - place.lo).toLocaleString("en"));
    fact(dl, "accelerators", held.all.toLocaleString("en"));
    if (placed) {
      fact(dl, "in jobs", (held.all - held.free - held.away).toLocaleString("en"));
      fact(dl, "free", held.free.toLocaleString("en"));
      STATES.forEach((name, k) => { if (k && held.states[k]) fact(dl, name, held.states[k].toLocaleString("en")); });
    }
    const p = data.parts[hostPart[order[place.lo]]];
    if (p) fact(dl, "part", p[0]);
    panel.replaceChildren(html("h3", short(place.name, 120)), dl);
    const jobs = jobList(held.jobs, held.jobs.length === 1 ? "Job" : "Jobs");
    if (jobs) panel.append(jobs);
    if (C) panel.append(failButton(place.kind === "host" ? "What if it fails?" : "What if all of it fails?", () => fail(Array.from(order.subarray(place.lo, place.hi)), [], place.name, place.hi - place.lo > 1 && place.kind !== "pod" && place.kind !== "group")));
  }
  const tellPlace = () => aboutPlace(at());

  function tell(i) {
    const m = shown.marks[i];
    if (m.tier === 0) { aboutPlace(m); return; }
    const dl = html("dl"), own = shown.edges.filter((e) => e.a === i || e.b === i);
    fact(dl, "tier", TIERS[m.tier] || String(m.tier));
    const p = data.parts[switchPart[m.list[0]]];
    if (p) fact(dl, "part", p[0]);
    fact(dl, "cables drawn", own.reduce((sum, e) => sum + e.cables, 0).toLocaleString("en"));
    fact(dl, "capacity", (own.reduce((sum, e) => sum + e.gbps, 0) / 1000).toLocaleString("en", {maximumFractionDigits: 2}) + " Tbit/s each way");
    panel.replaceChildren(html("h3", short(m.name, 120)), dl);
    own.sort((x, y) => y.demand - x.demand);
    if (own.length) {
      panel.append(html("h4", placed ? "Its busiest links" : "Its links"));
      const ul = html("ul");
      own.slice(0, 5).forEach((e) => {
        const other = shown.marks[e.a === i ? e.b : e.a], li = html("li"), open = html("button", short(other.name, 30), "plain");
        open.type = "button"; open.addEventListener("click", () => tellLink(e));
        li.append(open, html("span", `: ${percent(e.demand)} of ${data.rates[rate[e.worst]]} Gbit/s` + (e.cables > 1 ? `, worst of ${e.cables}` : ""))); ul.append(li);
      });
      panel.append(ul);
      const on = view.jobs.get(own[0].worst);
      if (on) { const box = jobList(on.list.map((j) => [j, 0]), `Jobs on the busiest (${on.n})`); if (box) panel.append(box); }
    }
    panel.append(failButton(m.units === 1 ? "What if it fails?" : "What if they fail?", () => fail(m.list.map((x) => H + x), [], m.name, m.units > 1)));
  }

  const failButton = (text, act) => { const b = html("button", text, "fail"); b.type = "button"; b.addEventListener("click", act); return b; };

  function tellLink(e) {
    const dl = html("dl"), [a, b] = shown.marks[e.a].tier <= shown.marks[e.b].tier ? [e.a, e.b] : [e.b, e.a], name = short(shown.marks[a].name, 50) + " – " + short(shown.marks[b].name, 50);
    fact(dl, "cables", e.cables.toLocaleString("en"));
    fact(dl, "capacity", (e.gbps / 1000).toLocaleString("en", {maximumFractionDigits: 2}) + " Tbit/s each way");
    if (placed) fact(dl, e.cables > 1 ? "demand on the worst" : "demand", `${percent(e.demand)} of ${data.rates[rate[e.worst]]} Gbit/s`);
    panel.replaceChildren(html("h3", name), dl);
    const on = view.jobs.get(e.worst);
    if (on) { const box = jobList(on.list.map((j) => [j, 0]), `Jobs on the busiest (${on.n})`); if (box) panel.append(box); }
    panel.append(failButton(e.cables > 1 ? "What if they fail?" : "What if it fails?", () => fail([], cablesIn(e), name, e.cables > 1)));
  }

  // Parts that fail: which hosts lose how much of their way out, what is left of a way up, which jobs ran over it.
  function fail(units, links, name, several) {
    const dead = new Set(units), hosts = new Map(), up = new Map(), jobs = new Set(), lost = new Set(links); let gbps = 0, partly = false;
    for (const u of units) for (const c of cablesOf(u)) lost.add(c);
    for (const c of lost) {
      gbps += data.rates[rate[c]];
      const [low, high] = heightOf[A[c]] <= heightOf[B[c]] ? [A[c], B[c]] : [B[c], A[c]];
      if (low < H) { if (!dead.has(low)) hosts.set(low, (hosts.get(low) || 0) + data.rates[rate[c]]); }
      else if (!dead.has(low) && heightOf[high] > heightOf[low]) up.set(low, (up.get(low) || 0) + data.rates[rate[c]]);
      const on = view.jobs.get(c); if (on) { on.list.forEach((j) => jobs.add(j)); if (on.n > on.list.length) partly = true; } else if (view.demand[c]) partly = true;
    }
    const whole = (u) => { let sum = 0; for (const c of cablesOf(u)) if (heightOf[far(c, u)] > heightOf[u]) sum += data.rates[rate[c]]; return sum; };
    let cut = 0, worst = 0, gpus = 0;
    const runsOn = (h) => { for (let g = start[h]; g < start[h + 1]; g++) if (view.job[g]) jobs.add(view.job[g]); };
    for (const [h, gone] of hosts) { const share = gone / whole(h); if (share > 0.999) { cut++; gpus += start[h + 1] - start[h]; } worst = Math.max(worst, share); runsOn(h); }
    for (const u of units) if (u < H) { gpus += start[u + 1] - start[u]; runsOn(u); }
    const hit = new Set();
    shown.marks.forEach((o, k) => { if (o.tier === 0) for (let q = o.lo; q < o.hi; q++) if (hosts.has(order[q]) || dead.has(order[q])) { hit.add(k); break; } });
    broken = {units, links, marks: hit};
    draw(false);
    const dl = html("dl");
    fact(dl, "cables lost", `${lost.size.toLocaleString("en")}, ${(gbps / 1000).toLocaleString("en", {maximumFractionDigits: 2})} Tbit/s each way`);
    if (units.length && units[0] < H) fact(dl, "hosts down", units.length.toLocaleString("en"));
    else fact(dl, "hosts on it", hosts.size.toLocaleString("en"));
    if (hosts.size) { fact(dl, "a host loses", "up to " + (100 * worst).toFixed(1) + " % of its way out"); fact(dl, "hosts cut off", cut.toLocaleString("en")); }
    if (gpus) fact(dl, "accelerators gone", gpus.toLocaleString("en"));
    if (up.size) {
      let share = 0; for (const [u, gone] of up) share = Math.max(share, gone / whole(u));
      fact(dl, "switches that lose a way up", up.size.toLocaleString("en")); fact(dl, "one loses", "up to " + (100 * share).toFixed(1) + " % of it");
    }
    panel.replaceChildren(html("h3", "If " + short(name, 80) + (several ? " fail" : " fails")), dl);
    if (placed) { const box = jobList([...jobs].sort((a, b) => a - b).map((j) => [j, 0]), `Jobs that ran over it: ${partly ? "at least " : ""}${jobs.size}`); panel.append(box || html("p", "No job ran over it.")); }
    panel.append(failButton("Mend it", () => { broken = null; draw(false); tellPlace(); }));
  }

  // Search: a host, a switch or a job by a part of its name.
  const said = root.querySelector(".said");
  function towards(h) {
    let p = [whole], guard = 0;
    const keep = path;
    while (guard++ < 12) {
      path = p; const here = p[p.length - 1];
      if (here.kind === "host") break;
      const next = children(here, Math.max(12, Math.floor(Math.max(300, stage.clientWidth) / 17))).find((k) => k.lo <= rank[h] && rank[h] < k.hi);
      if (!next) break;
      p = [...p, next];
    }
    path = keep; return p;
  }
  function find(text) {
    const want = text.trim().toLowerCase();
    if (!want) return;
    const exact = (list) => { let k = list.findIndex((n) => n.toLowerCase() === want); if (k < 0) k = list.findIndex((n) => n.toLowerCase().includes(want)); return k; };
    const h = exact(data.hosts);
    if (h >= 0) { go(towards(h)); said.textContent = "Host " + short(data.hosts[h], 60); return; }
    const s = exact(data.switches);
    if (s >= 0) {
      let unit = H + s, guard = 0;
      while (unit >= H && guard++ < 6) { const below = Array.from(cablesOf(unit), (c) => far(c, unit)).find((u) => u < H || tier[u - H] < tier[unit - H]); if (below === undefined) break; unit = below; }
      if (unit < H) {
        const p = towards(unit);
        for (let k = p.length - 1; k >= 0; k--) { path = p.slice(0, k + 1); draw(false); const i = shown.marks.findIndex((m) => m.kind === "switch" && m.list.includes(s) && (m.units === 1 || k === 0)); if (i >= 0 && at().kind !== "host") { trail(); stage.querySelector(`[data-mark="${i}"]`).focus(); tell(i); break; } }
        said.textContent = "Switch " + short(data.switches[s], 60); return;
      }
    }
    const j = exact(data.jobs.map((job) => job[0]));
    if (j >= 0) { setJob(j + 1); said.textContent = "Job " + short(jobName(j + 1), 60) + (view.slow[j] ? "" : " is not placed"); return; }
    said.textContent = "Nothing is called that";
  }
  const jobs = root.querySelector(".job-filter"), links = root.querySelector(".heat-filter"), search = root.querySelector("form");
  function setJob(j) { jobFilter = j; if (jobs) jobs.value = String(j); draw(false); }
  if (jobs) { data.jobs.forEach((job, k) => { if (k < 5000) { const o = html("option", `${k + 1}: ${short(job[0], 50)}`); o.value = String(k + 1); jobs.append(o); } }); jobs.addEventListener("change", () => setJob(Number(jobs.value))); }
  if (links) links.addEventListener("change", () => { heatFilter = Number(links.value); draw(false); });
  search.addEventListener("submit", (event) => { event.preventDefault(); find(search.querySelector("input").value); });
  root.querySelectorAll("input[type=radio]").forEach((radio) => radio.addEventListener("change", () => { view = views[Number(radio.value)]; broken = null; draw(false); tellPlace(); }));
  root.addEventListener("keydown", (event) => { if (event.key === "Escape" && path.length > 1) go(path.slice(0, -1)); });
  let last = 0;
  new ResizeObserver(() => { const w = stage.clientWidth; if (Math.abs(w - last) > 8) { last = w; draw(false); } }).observe(stage);
  draw(false); last = stage.clientWidth; tellPlace();

  // The wire map as a file: made here, from what the page carries.
  const wire = root.querySelector(".wires");
  if (wire) wire.addEventListener("click", () => {
    const cell = (text) => { const safe = /^[=+\-@\t\r]/.test(text) ? "'" + text : text; return '"' + safe.replaceAll('"', '""') + '"'; };
    const name = (u, c) => u < H ? data.hosts[u] + (port[c] >= 0 ? " NIC " + port[c] : "") : data.switches[u - H];
    const rows = ["from,to,gbps,tier" + (placed ? ",demand_frac" : "")];
    for (let c = 0; c < C; c++) rows.push(`${cell(name(A[c], c))},${cell(name(B[c], c))},${data.rates[rate[c]]},${Math.max(heightOf[A[c]], heightOf[B[c]])}` + (placed ? "," + view.demand[c] / 1000 : ""));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([rows.join("\n") + "\n"], {type: "text/csv"})); link.download = "wire-map.csv"; link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });
}
