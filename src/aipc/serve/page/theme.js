// A classic script in the head: the chosen theme is set before anything is painted.
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);

  function kept(theme) {
    try {
      if (theme) localStorage.setItem("aipc.theme", theme);
      return localStorage.getItem("aipc.theme");
    } catch {
      return theme; // a browser that keeps nothing
    }
  }

  const theme = kept();
  if (theme === "dark" || theme === "light") root.dataset.theme = theme;

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    const name = () => (button.textContent = isDark() ? "Light theme" : "Dark theme");
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      kept(root.dataset.theme);
      name();
    });
    system.addEventListener("change", name);
    name();
  });
})();
