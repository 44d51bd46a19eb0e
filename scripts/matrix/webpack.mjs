// webpack's own API, since its command line is a package of its own: node webpack.mjs WEBPACK FOLDER
import { createRequire } from 'node:module';
import { join } from 'node:path';

const [, , webpackFolder, folder] = process.argv;
const require = createRequire(import.meta.url);
const webpack = require(webpackFolder);
webpack({ context: folder, ...require(join(folder, 'webpack.config.cjs')) }, (error, stats) => {
  if (error) throw error;
  if (!stats.hasErrors()) return;
  console.error(stats.toString({ all: false, errors: true }));
  process.exitCode = 1;
});
