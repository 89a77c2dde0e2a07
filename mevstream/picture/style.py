"""How the page looks, on a light and on a dark screen and on paper."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #f6f6f3; --card: #fdfdfc; --ink: #14140f; --soft: #5c5b55; --line: #dddcd5;
  --c1: #2a78d6; --c2: #1a9e6f; --c3: #d9920a; --c4: #6a55c9; --c5: #d9566f; --loss: #c93434;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #131312; --card: #1c1c1a; --ink: #f3f2ec; --soft: #b0aea4; --line: #383733;
    --c1: #4a93ea; --c2: #22ab7c; --c3: #d29a2a; --c4: #9a8bee; --c5: #e27990; --loss: #ef7070;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
main { max-width: 1180px; margin: 0 auto; padding: 28px 20px 56px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0; letter-spacing: -.01em; }
h2 { font-size: 18px; margin: 40px 0 10px; }
h3 { font-size: 14px; margin: 0 0 8px; }
p { margin: 4px 0 12px; color: var(--soft); max-width: 76ch; }
.tiles {
  display: grid; gap: 12px; margin: 22px 0 0; padding: 0;
  grid-template-columns: repeat(auto-fit, minmax(186px, 1fr));
}
.tile, .card, .table {
  background: var(--card); border: 1px solid var(--line); border-radius: 10px;
}
.tile { padding: 12px 14px; }
.tile dt { color: var(--soft); font-size: 13px; }
.tile dd { margin: 0; font-size: 24px; line-height: 1.3; font-weight: 600; }
.tile dd.note { font-size: 12.5px; font-weight: 400; color: var(--soft); line-height: 1.4; }
.grid {
  display: grid; gap: 12px; margin-bottom: 12px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 480px), 1fr));
}
.card { padding: 14px 16px; margin: 0; }
.card.wide { grid-column: 1 / -1; }
.chart { display: block; width: 100%; height: auto; }
.chart text { fill: var(--ink); font-size: 12px; font-variant-numeric: tabular-nums; }
.chart .tick, .chart .value { fill: var(--soft); }
.chart .end { text-anchor: end; }
.axis { stroke: var(--soft); stroke-width: 1; }
.chart .grid { stroke: var(--line); stroke-width: 1; }
.c1 { fill: var(--c1); } .c2 { fill: var(--c2); } .c3 { fill: var(--c3); }
.c4 { fill: var(--c4); } .c5 { fill: var(--c5); } .loss { fill: var(--loss); }
.part { stroke: var(--card); stroke-width: .8; }
.legend {
  list-style: none; display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 0 0 6px; padding: 0;
  font-size: 13px; color: var(--soft);
}
.key { width: 10px; height: 10px; margin-right: 6px; }
.table { overflow-x: auto; margin-bottom: 12px; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; }
caption { text-align: left; padding: 10px 14px; color: var(--soft); caption-side: bottom; }
th, td {
  padding: 6px 9px; text-align: left; border-bottom: 1px solid var(--line); white-space: nowrap;
}
tbody tr:last-child > td { border-bottom: 0; }
th { color: var(--soft); font-weight: 500; font-size: 12.5px; }
th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; }
.route { display: block; white-space: normal; min-width: 220px; max-width: 420px; }
tr.legs > td { background: var(--page); padding: 4px 12px 10px; }
tr.legs table { font-size: 12.5px; }
tr.all > td { font-weight: 600; }
summary { cursor: pointer; color: var(--soft); }
code { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; }
footer { margin-top: 44px; color: var(--soft); font-size: 13px; }
@media print { body { background: none; } .table { overflow: visible; } }
"""
