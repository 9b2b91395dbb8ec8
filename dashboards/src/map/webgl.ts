// The scene on sigma. An edge is drawn as a row of short segments between invisible nodes, which gives S-shaped rivers
// with sigma's plainest and fastest program.

import Graph from 'graphology';
import Sigma from 'sigma';
import { bend, type Picture } from './scene';
import { colours, type Colours } from './colours';

export type Handlers = { select: (id: string) => void; expand: (id: string) => void };

const STEPS = 14;
// Beyond this many edges straight lines say as much and cost a fourteenth.
const CURVED_MAX = 2_500;
// With more nodes than this their names would lie upon each other; a name comes with a radius of so many pixels.
const CROWDED = 600;
const NAMED_FROM = 5;
const BEND = '~';
// A node of size zero still leaves a pixel.
const CLEAR = '#00000000';
const JOINT_MIN = 3;

export class WebglMap {
  private readonly graph = new Graph({ multi: true, type: 'directed' });
  private readonly sigma: Sigma;
  private readonly font = getComputedStyle(document.body).fontFamily;
  private palette: Colours;

  constructor(container: HTMLElement, on: Handlers) {
    this.palette = colours();
    this.sigma = new Sigma(this.graph, container, {
      allowInvalidContainer: true,
      zIndex: true,
      labelRenderedSizeThreshold: 0,
      labelDensity: 1.5,
      labelGridCellSize: 70,
      stagePadding: 0,
      minCameraRatio: 0.05,
      maxCameraRatio: 3,
      defaultDrawNodeLabel: (context, data) => this.drawLabel(context, data),
      defaultDrawNodeHover: (context, data) => this.drawHover(context, data),
    });
    this.sigma.on('clickNode', ({ node }) => {
      if (!node.startsWith(BEND)) on.select(node);
    });
    this.sigma.on('doubleClickNode', ({ node, preventSigmaDefault }) => {
      preventSigmaDefault();
      if (!node.startsWith(BEND)) on.expand(node);
    });
    this.sigma.on('enterNode', ({ node }) => (container.dataset['cursor'] = node.startsWith(BEND) ? 'grab' : 'pointer'));
    this.sigma.on('leaveNode', () => (container.dataset['cursor'] = 'grab'));
  }

  draw(picture: Picture): void {
    this.palette = colours();
    this.graph.clear();
    const { nodes, edges, height } = picture;
    for (const node of nodes) {
      this.graph.addNode(node.id, {
        x: node.x,
        y: height - node.y,
        size: node.selected ? node.size + 3 : node.size,
        label: node.label,
        labelColor: node.lit ? this.palette.ink : this.palette.muted,
        color: node.lit ? this.palette.kind(node.kind) : this.palette.pale(node.kind),
        side: node.side,
        forceLabel: node.selected || node.focus,
        highlighted: node.selected,
        zIndex: node.lit ? 3 : 2,
      });
    }
    const steps = edges.length > CURVED_MAX ? 1 : STEPS;
    for (const edge of edges) {
      const style = {
        size: edge.width,
        color: edge.lit ? this.palette.edgeLit : this.palette.edge,
        zIndex: edge.lit ? 1 : 0,
      };
      const points = bend(edge.from, edge.to, steps).slice(1, -1);
      const path = points.map((point, i) => {
        const id = `${BEND}${edge.id}${BEND}${i}`;
        // Where a wide river turns, a round joint fills the notch between two segments.
        const joint = edge.width > JOINT_MIN ? { size: edge.width / 2, color: style.color } : { size: 0, color: CLEAR };
        this.graph.addNode(id, { x: point.x, y: height - point.y, label: null, zIndex: 0, ...joint });
        return id;
      });
      const stops = [edge.from.id, ...path, edge.to.id];
      for (let i = 1; i < stops.length; i++) this.graph.addEdge(stops[i - 1], stops[i], style);
    }
    // A large picture is panned as its nodes alone; its edges and names are back as soon as the hand rests.
    const crowded = nodes.length > CROWDED;
    const large = crowded || edges.length > CURVED_MAX;
    this.sigma.setSettings({
      hideEdgesOnMove: large,
      hideLabelsOnMove: large,
      // Where nodes lie too close for their names, these come as one zooms in.
      labelRenderedSizeThreshold: crowded ? NAMED_FROM : 0,
    });
    this.sigma.setCustomBBox({ x: [0, picture.width], y: [0, height] });
    this.sigma.refresh();
  }

  fit(): void {
    void this.sigma.getCamera().animatedReset({ duration: 250 });
  }

  zoom(factor: number): void {
    const camera = this.sigma.getCamera();
    void camera.animate({ ratio: camera.ratio / factor }, { duration: 150 });
  }

  destroy(): void {
    this.sigma.kill();
  }

  // Our own label: beside the node on its free side, with a rim of the ground's colour, so that rivers may pass under it.
  private drawLabel(context: CanvasRenderingContext2D, data: Labelled, weight = 400): void {
    // A highlighted node is drawn a second time, with its ring: that time its name is written.
    if (!data.label || (data.highlighted && weight === 400)) return;
    const beside = data.size + 6;
    context.font = `${weight} 12px ${this.font}`;
    context.textAlign = data.side === 'left' ? 'right' : data.side === 'above' ? 'center' : 'left';
    const x = data.side === 'left' ? data.x - beside : data.side === 'above' ? data.x : data.x + beside;
    const y = data.side === 'above' ? data.y - beside - 3 : data.y + 4;
    context.lineJoin = 'round';
    context.lineWidth = 4;
    context.strokeStyle = this.palette.surface;
    context.strokeText(data.label, x, y);
    context.fillStyle = data.labelColor ?? this.palette.ink;
    context.fillText(data.label, x, y);
  }

  // sigma's own hover paints a white box, which blinds in the dark theme.
  private drawHover(context: CanvasRenderingContext2D, data: Labelled): void {
    context.beginPath();
    context.arc(data.x, data.y, data.size + 3.5, 0, 2 * Math.PI);
    context.lineWidth = 2;
    context.strokeStyle = this.palette.ink;
    context.stroke();
    this.drawLabel(context, data, 600);
  }
}

type Labelled = {
  x: number;
  y: number;
  size: number;
  label: string | null;
  highlighted?: boolean;
  side?: string;
  labelColor?: string;
};
