export function curvesTab(panel) { panel.append('Soon.'); }
