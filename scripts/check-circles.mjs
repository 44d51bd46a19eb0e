// Fails if files of src/ import each other in a circle, types included. ESLint holds the order between folders (eslint.config.mjs);
// this holds it between files.
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import ts from 'typescript';

const root = join(import.meta.dirname, '../src');

/** Paths of all sources, and what each imports of them. */
const imports = new Map(
  readdirSync(root, { recursive: true })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => join(root, name))
    .map((path) => [path, importsOf(path)]),
);

const circles = findCircles(imports);
for (const files of circles) {
  console.error(`a circle of ${files.length} files:`);
  for (const file of files) {
    const others = imports.get(file).filter((other) => files.includes(other));
    console.error(`  ${shown(file)} imports ${others.map(shown).join(', ')}`);
  }
}
if (circles.length > 0) {
  console.error('Move what they share into a file that imports neither: types into a leaf.');
  process.exit(1);
}

function importsOf(path) {
  return ts
    .preProcessFile(readFileSync(path, 'utf8'))
    .importedFiles.map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.'))
    .map((name) => join(dirname(path), name).replace(/\.js$/, '.ts'));
}

/** Tarjan's strongly connected components of more than one file. */
function findCircles(graph) {
  const order = new Map();
  const lowest = new Map();
  const stack = [];
  const circles = [];
  const visit = (file) => {
    order.set(file, order.size);
    lowest.set(file, order.get(file));
    stack.push(file);
    for (const other of graph.get(file).filter((path) => graph.has(path))) {
      if (!order.has(other)) visit(other);
      if (stack.includes(other)) lowest.set(file, Math.min(lowest.get(file), lowest.get(other)));
    }
    if (lowest.get(file) !== order.get(file)) return;
    const component = stack.splice(stack.indexOf(file));
    if (component.length > 1) circles.push(component);
  };
  for (const file of graph.keys()) if (!order.has(file)) visit(file);
  return circles;
}

function shown(path) {
  return relative(dirname(root), path);
}
