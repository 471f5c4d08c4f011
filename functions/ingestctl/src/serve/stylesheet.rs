//! The style of the page: light and dark, for desktop and phone.

/// The style sheet. Text has a contrast of at least 4.5; no colour alone carries a meaning.
pub(super) const STYLESHEET: &str = "\
:root{color-scheme:light dark;--ground:#f6f7f9;--card:#fff;--ink:#16202c;--faint:#55616f;--line:#d5dbe2;--accent:#1558c0;\
--well:#12703a;--well-ground:#e2f5e9;--behind:#7d5200;--behind-ground:#fff2d2;--trouble:#a8201a;--trouble-ground:#fde7e5;\
--loaded:#2f7fd6;--missing:#c3cad3;--failed:#c7362c;--under-way:#b27a00}\
@media(prefers-color-scheme:dark){:root{--ground:#0e141b;--card:#17202a;--ink:#e8edf3;--faint:#a2afbd;--line:#303c49;\
--accent:#79b0ff;--well:#7fdca3;--well-ground:#12301f;--behind:#f2c55c;--behind-ground:#33270a;--trouble:#ff9d94;\
--trouble-ground:#3d1715;--loaded:#4d9bf0;--missing:#4a5766;--failed:#ff7b70;--under-way:#e5b04a}}\
*{box-sizing:border-box}\
body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',\
sans-serif;font-variant-numeric:tabular-nums}\
main,header,footer{max-width:68rem;margin:0 auto;padding:0 1rem}\
header{padding-top:1.25rem;display:flex;flex-wrap:wrap;gap:.25rem 1rem;align-items:baseline}\
header p{margin:0;color:var(--faint)}header strong{font-size:1.05rem}\
.verdict{margin:1rem 0;padding:1.1rem 1.25rem;border-radius:.75rem;border:1px solid;border-left-width:.5rem}\
.verdict h1{margin:0;font-size:1.45rem;line-height:1.25}.verdict p{margin:.35rem 0 0;color:var(--ink)}\
.verdict .state{font-size:.8rem;font-weight:700;letter-spacing:.08em;text-transform:uppercase;margin:0 0 .2rem;color:inherit}\
.well,.starting{color:var(--well);background:var(--well-ground)}.behind{color:var(--behind);background:var(--behind-ground)}\
.trouble{color:var(--trouble);background:var(--trouble-ground)}\
.verdict ul{margin:.6rem 0 0;padding:0;list-style:none;color:var(--ink)}.verdict li+li{margin-top:.6rem}\
.card{background:var(--card);border:1px solid var(--line);border-radius:.75rem;padding:1rem 1.25rem;margin:0 0 1rem}\
h2{font-size:1.05rem;margin:0 0 .6rem}.aside,.unit{color:var(--faint);font-weight:400}.unit{font-size:.85rem;margin:.2rem 0 0}\
dl{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:.9rem 1.25rem;margin:0}\
dt{font-size:.85rem;color:var(--faint)}dd{margin:0;font-size:1.3rem;font-weight:600;line-height:1.3}\
dd small{display:block;font-size:.85rem;font-weight:400;color:var(--faint)}\
figure{margin:0}svg{display:block;width:100%}\
.lane{display:grid;grid-template-columns:5.5rem 1fr;align-items:center;margin-bottom:.3rem}.lane .name{font-size:.85rem}\
.strip{height:2.4rem;border:1px solid var(--line);border-radius:.25rem}\
.strip.failed,.strip.under-way{height:1rem}\
.strip.loaded,.key.missing{background:repeating-linear-gradient(135deg,var(--missing) 0 2px,transparent 2px 6px)}\
.strip.loaded rect,.key.loaded{fill:var(--loaded);background:var(--loaded)}\
.strip.failed rect,.key.failed{fill:var(--failed);background:var(--failed);stroke:var(--failed)}\
.strip.under-way rect,.key.under-way{fill:var(--under-way);background:var(--under-way);stroke:var(--under-way)}\
.strip.failed rect,.strip.under-way rect{stroke-width:2px;vector-effect:non-scaling-stroke}\
.axis{display:flex;justify-content:space-between;font-size:.8rem;color:var(--faint)}.coverage .axis{margin-left:5.5rem}\
.key{display:inline-block;width:1.1rem;height:.7rem;margin:0 .3rem 0 0;border:1px solid var(--line);vertical-align:baseline}\
figcaption .key:not(:first-child){margin-left:.8rem}\
.coverage figcaption{font-size:.85rem;color:var(--faint);margin-top:.4rem}\
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1.25rem 2rem}\
.plot{display:grid;grid-template-columns:3.6rem 1fr;margin-top:.6rem}\
.scale{display:flex;flex-direction:column;justify-content:space-between;text-align:right;padding-right:.5rem;font-size:.8rem;\
color:var(--faint);line-height:1;margin:-.4em 0;min-height:0}\
.bars{height:9rem;overflow:visible}.bars rect{fill:var(--loaded)}\
.grid{stroke:var(--line);stroke-width:1px;vector-effect:non-scaling-stroke}\
.throughput .axis{margin:.35rem 0 0 3.6rem}\
table{border-collapse:collapse;width:100%;font-size:.95rem}\
th{text-align:left;font-size:.85rem;font-weight:600;color:var(--faint);border-bottom:1px solid var(--line);padding:.3rem .6rem}\
td{padding:.4rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}tr:last-child td{border-bottom:0}\
th:first-child,td:first-child{padding-left:0}th:last-child,td:last-child{padding-right:0}\
.n{text-align:right}td.words{overflow-wrap:anywhere}\
td:first-child,td.words code{white-space:nowrap}\
code{font:.9em/1.4 ui-monospace,SFMono-Regular,Menlo,'DejaVu Sans Mono',monospace;overflow-wrap:anywhere}\
.details{display:block;padding:.35rem .6rem;margin:.25rem 0;border-radius:.35rem;background:var(--card);border:1px solid var(--line)}\
footer{color:var(--faint);font-size:.85rem;padding-bottom:2rem}a{color:var(--accent)}\
@media(max-width:40rem){body{font-size:15px}.card{padding:.9rem 1rem}\
.axis span:nth-child(even){display:none}.lane{grid-template-columns:1fr}.coverage .axis{margin-left:0}\
dl{grid-template-columns:1fr 1fr}dd{font-size:1.15rem}\
table,tbody,tr,td{display:block}thead{position:absolute;clip-path:inset(50%);width:1px;height:1px;overflow:hidden}\
tr{padding:.5rem 0;border-bottom:1px solid var(--line)}tr:last-child{border-bottom:0}\
td,td.n{display:flex;justify-content:space-between;gap:1rem;text-align:right;border:0;padding:.1rem 0}\
td.words{display:block;text-align:left}td.words code{white-space:normal}\
td.wide{display:none}\
td::before{content:attr(data-name);color:var(--faint);font-size:.85rem;text-align:left;flex:none}\
td.words::before{display:block}}";
