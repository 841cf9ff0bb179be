"""What a report looks like, beyond what all pages do."""

STYLE = """
nav { display: flex; flex-wrap: wrap; gap: 4px 14px; margin: 10px 0; font-size: 13px; }
a { color: var(--training); }
.tiles small { display: block; font-size: 12px; }
.scroll { overflow: auto; max-width: 100%; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 340px), 1fr)); gap: 12px; }
.charts > div, .paper { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; padding: 10px; }
.chart { display: block; width: 100%; height: auto; }
.chart text { fill: var(--ink); }
.matrix { display: block; font-family: system-ui, sans-serif; }
.matrix text { fill: var(--ink); pointer-events: none; }
.matrix text.strong { fill: var(--paper); }
.matrix .ground { fill: var(--ground); }
.matrix .right { fill: var(--training); }
.matrix .mistaken { fill: var(--validation); }
.matrix [data-cell] { cursor: pointer; }
.matrix [data-cell]:hover, .matrix .chosen { stroke: var(--ink); stroke-width: 2; }
#cell:not(:empty) { position: sticky; bottom: 0; max-height: 45vh; overflow: auto; margin-top: 8px;
  padding: 0 14px 10px; background: var(--paper); border: 1px solid var(--soft); border-radius: 8px; }
#cell h3 { margin-top: 10px; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(112px, 1fr)); gap: 12px 10px; margin: 8px 0; }
.thumb { display: block; height: 112px; border-radius: 4px; background: var(--ground) center / contain no-repeat;
  color: var(--soft); font-size: 12px; line-height: 112px; text-align: center; print-color-adjust: exact;
  -webkit-print-color-adjust: exact; }
.matrix rect { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
.paper > .chart { max-width: 640px; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 380px), 1fr)); gap: 12px; }
button { font: inherit; font-size: 12px; padding: 1px 8px; color: var(--training); background: none;
  border: 1px solid var(--line); border-radius: 999px; cursor: pointer; }
th button { all: unset; cursor: pointer; font-weight: 600; }
th button:focus-visible { outline: 2px solid var(--training); }
th[aria-sort=ascending] button::after { content: " ▲"; }
th[aria-sort=descending] button::after { content: " ▼"; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
td small { color: var(--soft); }
#classes table td:first-child { min-width: 80px; }
pre { overflow: auto; padding: 10px 14px; background: var(--paper); border: 1px solid var(--line); border-radius: 8px;
  font-size: 12px; }
summary { cursor: pointer; margin: 10px 0; }
h3 { margin-top: 16px; }
section h3 { margin-top: 0; }
@media (max-width: 560px) {
  td small { display: none; }
  td, th { padding: 6px; }
  .cards { grid-template-columns: repeat(auto-fill, minmax(96px, 1fr)); }
}
@media print {
  nav, button:not(th button), #cell:empty { display: none; }
  .scroll { overflow: visible; }
  #cell:not(:empty) { position: static; max-height: none; }
  .matrix { width: 100%; height: auto; }
}
"""
