// The list, narrowed to the rows that hold every word that was typed.

export function startSearch() {
  const field = document.getElementById("search");
  if (field === null) {
    return () => {};
  }
  const told = document.getElementById("search-told");

  function narrow() {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...document.querySelectorAll(".row")];
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => text.includes(word));
      shown += row.hidden ? 0 : 1;
    }
    told.textContent = words.length === 0 ? "" : `${shown} of ${rows.length} shown`;
  }

  field.addEventListener("input", narrow);
  narrow();
  return narrow;
}
