import { describeRemoteMaster } from './remote-master.js';

describeRemoteMaster();
