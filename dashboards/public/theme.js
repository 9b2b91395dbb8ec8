// Runs before the first paint, so that a chosen theme does not flash; a file of its own because the content security
// policy allows no inline script.
(function () {
  try {
    var chosen = localStorage.getItem('tributary-theme');
    if (chosen === 'dark' || chosen === 'light') document.documentElement.dataset.theme = chosen;
  } catch (_) {
    // Storage may be closed to us; then the system's preference rules.
  }
})();
