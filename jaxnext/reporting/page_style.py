"""How pages look, on wide and on narrow screens, in light and in dark, and on paper."""

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --line: #dde2e9; --paper: #fff; --ground: #f4f6f9;
  --training: #0072b2; --validation: #d55e00; --wrong: #b3261e; --good: #1b7f4b; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e6eaf0; --soft: #a3adba; --line: #343d49; --paper: #1b2129; --ground: #12161c;
    --training: #56a8de; --validation: #f0883e; --wrong: #f07167; --good: #4cb782; }
  .verdict { color: #12161c !important; }
}
@media print {
  body { background: #fff !important; }
  section, figure, .tiles li, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; }
header, main { max-width: 1200px; margin: 0 auto; padding: 0 20px; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: 8px 16px; padding-top: 24px; }
h1 { margin: 0; font-size: 26px; }
h2 { margin: 36px 0 12px; font-size: 19px; }
h3 { margin: 0 0 8px; font-size: 14px; overflow-wrap: anywhere; }
p { margin: 6px 0; color: var(--soft); overflow-wrap: anywhere; }
.verdict { margin: 0; padding: 3px 12px; border-radius: 999px; color: #fff; font-weight: 600; }
.verdict.wrong { background: var(--wrong); }
.verdict.good { background: var(--good); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px; padding: 0;
  margin: 18px 0; list-style: none; }
.tiles li, section, dl, table { background: var(--paper); border: 1px solid var(--line); border-radius: 8px; }
.tiles li { padding: 12px 14px; color: var(--soft); font-size: 13px; }
.tiles b { display: block; color: var(--ink); font-size: 24px; line-height: 1.2; }
.tiles .wrong { border-color: var(--wrong); }
.tiles .wrong b { color: var(--wrong); }
.groups { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 370px), 1fr)); gap: 12px; }
.classes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 370px), 1fr)); gap: 12px; }
section { padding: 12px 14px; }
section.wrong { border-left: 4px solid var(--wrong); }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(104px, 1fr)); gap: 10px; }
.row { display: grid; grid-template-columns: repeat(6, 1fr); gap: 6px; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: 12px; line-height: 1.35; color: var(--soft); overflow-wrap: anywhere; }
figcaption b { color: var(--ink); }
span.training { color: var(--training); }
span.validation { color: var(--validation); font-weight: 600; }
img, .gone { display: block; width: 100%; height: 104px; object-fit: contain; background: var(--ground);
  border-radius: 4px; }
.row img { height: 64px; object-fit: cover; }
.gone { text-align: center; line-height: 104px; }
.bar { display: flex; height: 8px;
  margin: 6px 0 10px; border-radius: 4px; overflow: hidden; background: var(--ground); }
.bar i.training { background: var(--training); }
.bar i.validation { background: var(--validation); }
table { width: 100%; border-collapse: collapse; font-size: 13px; }
td, th { padding: 7px 12px; border-top: 1px solid var(--line); text-align: left; vertical-align: top;
  overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; margin: 0; padding: 8px 14px; gap: 6px 18px; }
dt { font-weight: 600; }
dd { margin: 0; overflow-wrap: anywhere; }
main { padding-bottom: 40px; }
@media (max-width: 560px) {
  header, main { padding-left: 12px; padding-right: 12px; }
  .tiles { grid-template-columns: 1fr 1fr; }
  dl { grid-template-columns: 1fr; gap: 0; }
  dd { margin-bottom: 8px; }
}
"""
