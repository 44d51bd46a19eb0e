export { publicWriteError, writeAtomically } from '../files/atomic-write.js';
