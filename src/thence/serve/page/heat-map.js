export function heatMapTab(panel) { panel.append('Soon.'); }
