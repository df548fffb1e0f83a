// The files of a finished picture.
import { shareFrom } from "./share_file.js";

export default ({ element, watch }) => shareFrom(element, watch, "image/png");
