// The files of a film.
import { shareFrom } from "./share_file.js";

export default ({ element, watch }) => shareFrom(element, watch, "video/mp4");
